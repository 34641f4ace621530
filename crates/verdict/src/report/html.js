// A press of mouse, Enter or space. (No <button>: browsers leave it out where a table's heads are printed again.)
function pressed(element, act) {
  element.addEventListener("click", act);
  element.addEventListener("keydown", event => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  });
}

// Sorts a table by the column whose heading is pressed: by number where cells carry one, else by text; missing last. And
// lets columns be chosen where there are many.
for (const table of document.querySelectorAll(".scroll > table:not(.matrix)")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => pressed(head.querySelector("[role=button]"), () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(h => h.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const key = row => row.cells[i].dataset.sort === undefined ? null : Number(row.cells[i].dataset.sort);
    [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === null || y === null) {
        if (x !== null || y !== null) return x === null ? 1 : -1;
        const missing = row => row.cells[i].classList.contains("missing");
        if (missing(a) !== missing(b)) return missing(a) ? 1 : -1;
        const order = row => row.cells[i].textContent;
        return (up ? 1 : -1) * order(a).localeCompare(order(b));
      }
      return (up ? 1 : -1) * (x - y);
    }).forEach(row => body.append(row));
  }));
  if (heads.length < 7) continue;
  const chooser = document.createElement("details"), list = document.createElement("div");
  chooser.className = "columns";
  chooser.append(Object.assign(document.createElement("summary"), { textContent: "Columns" }), list);
  heads.slice(1).forEach((head, i) => {
    const label = document.createElement("label"), box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => { for (const row of table.rows) row.cells[i + 1].hidden = !box.checked; });
    label.append(box, " ", head.textContent);
    list.append(label);
  });
  table.parentElement.before(chooser);
}
