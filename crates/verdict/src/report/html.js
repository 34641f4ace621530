// Sorts a table by the column whose heading is pressed: by number where cells carry one, else by text; missing last.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
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
}
