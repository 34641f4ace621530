// Turns limits, margins and the preference on the page: what decide.js makes of them moves the cards, the marks, the signs.
(() => {
  const { choices: data, faces } = JSON.parse(document.getElementById("whatif-data").textContent);
  const form = document.getElementById("whatif"), knobs = form.querySelector(".knobs");
  const start = () => JSON.parse(JSON.stringify(data.now));
  let now = start();
  const el = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
    made.append(...children);
    return made;
  };
  const points = share => { const n = Number((share * 100).toFixed(2)); return `${n} point${n === 1 ? "" : "s"}`; };
  const nearest = margin => data.margins.reduce((best, m, i) => Math.abs(m - margin) < Math.abs(data.margins[best] - margin) ? i : best, 0);

  // --- the knobs: each reads from `now` and writes to it
  const all = [];
  function slider(name, last, read, write, show) {
    const input = el("input", { type: "range", min: 0, max: last, step: 1, "aria-label": name }), output = el("output");
    const row = el("label", { class: "knob" }, el("span", {}, name), input, output);
    const draw = () => {
      input.value = read(now);
      output.textContent = show(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
      row.classList.toggle("turned", Number(input.value) !== read(data.now));
    };
    input.addEventListener("input", () => { write(Number(input.value)); turned(); });
    all.push(draw);
    return row;
  }
  function limitKnob(limit) {
    const any = limit.steps.length, sign = limit.more_is_better ? "≥" : "≤";
    const read = settings => {
      const at = settings.limits[limit.name];
      const found = limit.steps.findIndex(([value]) => value === at);
      return at == null || found < 0 ? any : found;
    };
    const write = place => { if (place === any) delete now.limits[limit.name]; else now.limits[limit.name] = limit.steps[place][0]; };
    return slider(`${limit.name} ${sign}`, any, read, write, place => place === any ? "any" : limit.steps[place][1]);
  }
  const prefer = el("select", { "aria-label": "prefer" }, ...data.prefers.map(p => el("option", { value: p.name }, p.label)));
  prefer.addEventListener("change", () => { now.prefer = prefer.value; turned(); });
  const preferRow = el("label", { class: "knob" }, el("span", {}, "prefer"), prefer);
  all.push(() => { prefer.value = now.prefer; preferRow.classList.toggle("turned", now.prefer !== data.now.prefer); });
  const weights = el("div", {}, ...data.costs.filter(([, metric]) => data.variants.some(v => v.costs[metric])).map(([name]) =>
    slider(`${name} counts`, 10, s => Math.min(10, s.weights[name] ?? 0), n => { now.weights[name] = n; }, n => n ? `× ${n}` : "nothing")));
  all.push(() => { weights.hidden = now.prefer !== "weighed"; });
  const own = el("details", {}, el("summary", {}, "a margin of each task's own"), ...data.tasks.map((task, i) =>
    slider(task.name, data.margins.length, s => s.margins[i] == null ? 0 : nearest(s.margins[i]) + 1,
      n => { now.margins[i] = n === 0 ? null : data.margins[n - 1]; }, n => n === 0 ? "as all" : points(data.margins[n - 1]))));
  if (data.now.margins.some(m => m != null)) own.open = true;
  knobs.append(preferRow, weights, ...data.limits.map(limitKnob),
    slider("margin", data.margins.length - 1, s => nearest(s.margin), n => { now.margin = data.margins[n]; }, n => points(data.margins[n])), own);
  form.addEventListener("reset", event => { event.preventDefault(); now = start(); turned(); });
  form.addEventListener("submit", event => event.preventDefault());

  // --- what is decided, on the page
  const before = advise(data, data.now);
  const groupNames = ["qualifies", "cannot_tell", "out"], groupWords = ["qualifies", "cannot tell", "out"];
  const capital = text => text.charAt(0).toUpperCase() + text.slice(1);
  const limitWords = name => data.limits.find(limit => limit.name === name)?.label ?? name;
  function reason(result, i) {
    const unmet = result.checks[i].filter(c => c.status > 0), broken = unmet.filter(c => c.status === 2);
    const farthest = list => [...list].sort((a, b) => (b.short ?? Infinity) - (a.short ?? Infinity))[0];
    const check = farthest(broken.filter(c => c.kind !== "task")) ?? farthest(broken) ?? unmet[0];
    if (!check) return "";
    if (check.kind === "task") {
      const shown = data.variants[i].shown[check.task]?.words;
      const verdict = check.status === 2 ? "Worse" : shown ? "Cannot tell" : "Not compared";
      return `${verdict} on ${data.tasks[check.task].name}${shown ? `: ${shown}` : ""}.`;
    }
    const what = check.kind === "limit" ? capital(limitWords(check.name)) : check.name;
    return check.status === 2 ? `${what} is beyond its limit.` : `${what} is not shown to keep its limit.`;
  }
  function card(role, i, result) {
    const face = faces[i], group = result.groups[i];
    const number = cell => [cell.mark === "estimated" ? "≈ " : "", cell.text, cell.mark === "doubtful" ? "\u00a0*" : ""];
    const beside = f => f.change ? [" ", el("i", { class: f.way === "neither" ? null : f.way }, f.change)] : [];
    const small = cell => cell.small ? [el("small", {}, cell.small)] : [];
    const figures = face.figures.map(f => el("div", { title: f.cell.hint },
      el("dt", {}, f.label), el("dd", {}, ...number(f.cell), ...beside(f), ...small(f.cell))));
    return el("article", { class: role.startsWith("advised") ? "card advised" : "card" },
      el("p", { class: "role" }, role), el("h3", {}, face.name),
      el("p", { class: "standing" }, el("b", { class: groupNames[group] }, groupWords[group]), " ", reason(result, i)),
      el("dl", { class: "figures" }, ...figures),
      el("ul", { class: "doubts", hidden: !face.doubts.length }, ...face.doubts.map(doubt => el("li", {}, doubt))));
  }
  function cards(result) {
    const prefers = data.prefers.find(p => p.name === now.prefer), reference = data.reference;
    const first = result.advised ?? result.nearest, list = [];
    if (result.advised === reference) list.push(card("advised: keep the reference", reference, result));
    else {
      if (first != null && first !== reference) list.push(card(result.advised == null ? "nearest" : "advised", first, result));
      list.push(card("reference", reference, result));
    }
    if (result.next != null && result.next !== first) list.push(card(`next ${prefers.comparative}`, result.next, result));
    return list;
  }
  const at = new Map(data.variants.map((v, i) => [v.name, i]));
  const matrix = document.getElementById("matrix"), deck = document.querySelector(".cards"), callout = document.querySelector(".callout");
  const original = deck && [...deck.children];
  const legend = [0, 1, 2].map(group => Number([...document.querySelectorAll(".chart:has(.marks) text")].map(text => text.textContent.trim())
    .find(text => text.startsWith(`${groupWords[group]} (`))?.match(/\((\d+)\)/)?.[1] ?? 0));
  const rows = new Map([...matrix.querySelectorAll("tr[data-name]")].map(row => [at.get(row.dataset.name), row]));
  const signs = { better: "better", not_worse: "not_worse", inconclusive: "cannot_tell", worse: "worse" };
  function sign(cell, name, text, hint) {
    const words = document.querySelector(`.matrix caption .sign.${name}`).getAttribute("aria-label");
    cell.className = name;
    cell.title = hint;
    const drawn = cell.querySelector(".sign");
    drawn.setAttribute("class", `sign ${name}`);
    drawn.setAttribute("aria-label", words);
    drawn.querySelector("use").setAttribute("href", `#sign-${name}`);
    cell.querySelector("small").textContent = text;
  }
  function drawRows(result) {
    for (const [i, row] of rows) {
      const [, limits, ...tasks] = row.cells;
      const of = result.checks[i].filter(c => c.kind !== "task"), worst = Math.max(-1, ...of.map(c => c.status));
      const named = of.filter(c => c.status === worst && worst > 0).map(c => limitWords(c.name)).join(", ");
      sign(limits, ["nothing", "not_worse", "cannot_tell", "worse"][worst + 1], "", worst < 0 ? "nothing is limited" : worst === 0 ? "every limit is kept" : named);
      tasks.forEach((cell, task) => {
        const verdict = result.verdicts[i][task], claims = data.variants[i].shown[task];
        if (i === data.reference && result.deciding[task]) sign(cell, "reference", "", "the reference itself");
        else if (verdict) sign(cell, signs[verdict], claims.short, claims.words);
        else sign(cell, result.deciding[task] ? "cannot_tell" : "nothing", "", result.deciding[task] ? "it was not compared" : "the task does not decide");
      });
      row.classList.toggle("advised", i === result.advised);
    }
    groupNames.forEach((name, group) => {
      const body = matrix.querySelector(`tbody[data-group="${name}"]`), members = [...rows.keys()].filter(i => result.groups[i] === group).sort((a, b) => a - b);
      body.classList.toggle("empty", !members.length);
      body.querySelector(".group b").textContent = members.length;
      members.forEach(i => body.append(rows.get(i)));
    });
  }
  function drawMarks(result) {
    for (const mark of document.querySelectorAll(".mark[data-name]")) {
      const i = at.get(mark.dataset.name);
      groupNames.forEach((name, group) => mark.classList.toggle(name, result.groups[i] === group));
      mark.classList.toggle("advised", i === result.advised);
    }
    // the legend counts what is drawn
    const drawn = [...document.querySelectorAll(".mark[data-name]")].map(mark => at.get(mark.dataset.name));
    for (const text of document.querySelectorAll(".chart:has(.marks) text")) {
      const group = groupWords.findIndex(word => text.textContent.trim().startsWith(`${word} (`));
      if (group >= 0) text.textContent = `${groupWords[group]} (${legend[group] + drawn.filter(i => result.groups[i] === group).length - drawn.filter(i => before.groups[i] === group).length})`;
    }
  }
  function words(result) {
    const name = i => data.variants[i].name, count = group => result.groups.filter(g => g === group).length;
    const title = result.noTask ? "On no task could anything be lost" : result.advised == null ? "No variant is shown good enough"
      : result.advised === data.reference ? `Keep ${name(result.advised)}` : `Use ${name(result.advised)}`;
    const moved = result.groups.flatMap((group, i) => group === before.groups[i] ? [] : [i]);
    const counted = `${count(0)} of ${data.variants.length} qualify, ${count(1)} cannot be told, ${count(2)} out.`;
    const said = moved.length === 0 ? "" : moved.length > 2 ? ` ${moved.length} variants are in another group than as it ran.`
      : ` ${moved.map(name).join(" and ")} moved between the groups.`;
    return [el("b", {}, title), `: ${counted}${said}`];
  }
  function command() {
    const parts = [`bantam decide ${data.run}`], quote = text => `'${text.replaceAll("'", "'\\''")}'`;
    if (now.prefer !== data.now.prefer) parts.push(`--prefer ${now.prefer}`);
    for (const limit of data.limits) {
      const value = now.limits[limit.name];
      if (value === data.now.limits[limit.name]) continue;
      const step = limit.steps.find(([step]) => step === value);
      parts.push(`--limit ${quote(step ? `${limit.name}${limit.more_is_better ? ">=" : "<="}${step[2]}` : `${limit.name}=any`)}`);
    }
    const percent = share => `${Number((share * 100).toFixed(6))}%`;
    if (now.margin !== data.now.margin) parts.push(`--margin ${percent(now.margin)}`);
    now.margins.forEach((margin, i) => {
      if (margin !== data.now.margins[i]) parts.push(`--margin ${quote(`${data.tasks[i].name}=${margin == null ? "all" : percent(margin)}`)}`);
    });
    if (now.prefer === "weighed") for (const [name] of data.costs) if ((now.weights[name] ?? 0) !== (data.now.weights[name] ?? 0)) parts.push(`--weight ${name}=${now.weights[name]}`);
    return parts.join(" ");
  }
  function turned() {
    all.forEach(draw => draw());
    const result = advise(data, now), same = JSON.stringify(now) === JSON.stringify(data.now);
    if (deck) deck.replaceChildren(...(same ? original : cards(result)));
    drawRows(result);
    drawMarks(result);
    callout?.classList.toggle("before", !same);
    form.querySelector("button").disabled = same;
    form.querySelector(".changed").replaceChildren(...words(result));
    form.querySelector("code").textContent = command();
  }
  form.hidden = false;
  turned();
})();
