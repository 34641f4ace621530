// Decides again, as bantam's `recommend` does: same order of steps, same names. It computes no statistics: p-values at every
// margin, intervals and which speeds are shown apart stand in `data` (recommend/choices.rs). Pure: numbers in, numbers out.
//
// settings: { limits: {memory: bytes, …}, margin, margins: [own or null, …], prefer, weights: {memory: 1, …} }
// gives:    { advised, by, equals, nearest, next, order, groups: [0 qualifies | 1 cannot tell | 2 out], verdicts, deciding, checks }
function advise(data, settings) {
  const variants = data.variants, reference = data.reference;
  const place = margin => data.margins.reduce((best, m, i) => Math.abs(m - margin) < Math.abs(data.margins[best] - margin) ? i : best, 0);
  const marginOf = task => settings.margins[task] ?? settings.margin;
  const places = data.tasks.map((_, task) => place(marginOf(task)));
  const below = data.tasks.map((task, i) => places[i] >= task.below_from);
  const atChance = data.tasks.map((task, i) => task.scored && !below[i] && places[i] >= task.aside_from);
  const deciding = data.tasks.map((task, i) => task.scored && !below[i] && !atChance[i]);
  const none = { advised: null, by: null, equals: [], nearest: null, next: null, order: variants.map((_, i) => i), deciding, groups: variants.map(() => 1),
    verdicts: variants.map(() => data.tasks.map(() => null)), checks: variants.map(() => []), noTask: true };
  if (!deciding.some(Boolean)) return none;

  // --- costs: memory and the like as they are, several in one by their weights
  const higher = new Set(data.more_is_better);
  const weighed = variants.map(v => weigh(v, variants[reference], settings.weights));
  const prefer = data.prefers.find(p => p.name === settings.prefer) ?? data.prefers[0];
  const better = (metric, a, b) => higher.has(metric) ? a > b : a < b;
  const cost = (i, metric) => metric === "weighed_cost" ? weighed[i] : variants[i].costs[metric] ?? null;
  const ends = n => n.i ?? [n.v, n.v];

  function weigh(v, base, weights) {
    const counted = data.costs.filter(([name]) => (weights[name] ?? 0) > 0);
    const all = counted.reduce((sum, [name]) => sum + weights[name], 0);
    let sum = 0, below = 0, above = 0, estimated = false, hasLevel = false, open = false;
    if (!counted.length) return null;
    for (const [name, metric] of counted) {
      const one = v.costs[metric], of = base.costs[metric];
      if (!one || !of || !(one.v > 0) || !(of.v > 0)) return null;
      const sign = higher.has(metric) ? -1 : 1, share = weights[name] / all;
      const log = value => sign * Math.log(value / of.v);
      sum += share * log(one.v);
      estimated = estimated || Boolean(one.e);
      if (one.i && one.i[0] > 0) {
        const [a, b] = [log(one.i[0]), log(one.i[1])];
        below += (share * (log(one.v) - Math.min(a, b))) ** 2;
        above += (share * (Math.max(a, b) - log(one.v))) ** 2;
        hasLevel = true;
      } else if (one.t) open = true;
    }
    const interval = hasLevel && !open ? [Math.exp(sum - Math.sqrt(below)), Math.exp(sum + Math.sqrt(above))] : undefined;
    return { v: Math.exp(sum), i: interval, e: estimated, s: !interval && (estimated || open), t: true };
  }

  // which of two costs is decidedly better: -1 the first, 1 the second, 0 neither, null where one is not known
  function decidedly(metric, a, b) {
    if (!a || !b) return null;
    const near = Math.abs(a.v - b.v) <= data.equal_within * Math.min(Math.abs(a.v), Math.abs(b.v));
    const [x, y] = [ends(a), ends(b)];
    if (a.s || b.s || near || (x[0] <= y[1] && y[0] <= x[1])) return 0;
    return better(metric, a.v, b.v) ? -1 : 1;
  }

  // --- limits
  function held(limit, at, n) {
    if (!n) return { status: 1, short: null, slack: 0 };
    const keeps = value => limit.more_is_better ? value >= at : value <= at;
    const beyond = Math.abs(n.v - at) / Math.abs(at);
    const far = Math.max(n.v, at) >= 2 * Math.min(n.v, at);
    let status;
    if (n.i) status = keeps(n.i[0]) && keeps(n.i[1]) ? 0 : keeps(n.i[0]) || keeps(n.i[1]) ? 1 : 2;
    else if (n.s && (keeps(n.v) || !far)) status = 1;
    else status = keeps(n.v) ? 0 : 2;
    const short = keeps(n.v) ? 0 : beyond;
    return { status, short: Number.isFinite(short) ? short : null, slack: Math.abs(n.v - at) };
  }
  function limitCheck(v, limit, at) {
    const urgency = c => c.status === 2 ? [2, c.short ?? Infinity] : c.status === 1 ? [1, 0] : [0, -c.slack];
    let worst = null;
    for (const n of v.held[limit.name]) {
      const check = held(limit, at, n);
      const [x, y] = [urgency(check), worst && urgency(worst)];
      if (!worst || x[0] > y[0] || (x[0] === y[0] && x[1] >= y[1])) worst = check;
    }
    return { kind: "limit", name: limit.name, cost: true, ...(worst ?? { status: 1, short: null }) };
  }
  const set = data.limits.filter(limit => settings.limits[limit.name] != null);
  const order = name => data.costs.findIndex(([known]) => known === name);
  set.sort((a, b) => order(a.name) - order(b.name));
  const checks = variants.map(v => [
    ...set.map(limit => limitCheck(v, limit, settings.limits[limit.name])),
    ...v.fixed.map(fixed => {
      const found = fixed.alone && !deciding[fixed.alone[0]] ? fixed.alone[1] : fixed.found;
      return { kind: "fixed", name: fixed.name, cost: fixed.cost, ...found };
    }),
  ]);

  // --- the comparisons with the reference, as one family
  const keepsCosts = i => checks[i].every(check => !check.cost || check.status === 0);
  const dearer = i => i !== reference && keepsCosts(reference) && decidedly(prefer.metric, cost(i, prefer.metric), cost(reference, prefer.metric)) === 1;
  const couldBe = variants.map((_, i) => keepsCosts(i) && !dearer(i));
  const at = (steps, place, before, behind) => place < steps.from ? before : steps.p[place - steps.from] ?? behind;
  const claimsOf = (i, task) => {
    const claims = variants[i].shown[task];
    return claims && { task, better: claims.better, notWorse: at(claims.not_worse, places[task], 1, 0), worse: at(claims.worse, places[task], 0, 1) };
  };
  function judgeFamily(members) {
    const largest = m => m.claims.reduce((most, c) => Math.max(most, c.notWorse), 0);
    const turn = members.filter(m => m.inQuestion && m.claims.length).sort((a, b) => largest(a) - largest(b));
    for (const m of members) m.factor = members.length;
    let standing = turn.length + members.filter(m => m.left).length, failed = false;
    for (const m of turn) {
      m.factor = standing;
      failed = failed || largest(m) * standing * data.size > data.alpha;
      if (!failed) standing -= 1;
    }
    for (const m of members) for (const c of m.claims) c.notWorse = Math.min(1, c.notWorse * m.factor * data.size);
    const all = members.flatMap(m => m.claims);
    for (const key of ["better", "worse"]) {
      let reached = 0;
      [...all].sort((a, b) => a[key] - b[key]).forEach((c, rank) => {
        reached = Math.min(1, Math.max(reached, c[key] * (all.length - rank)));
        c[key] = reached;
      });
    }
    for (const c of all) {
      const good = c.notWorse <= data.alpha;
      c.verdict = good && c.better <= data.tail ? "better" : good ? "not_worse" : c.worse <= data.tail ? "worse" : "inconclusive";
    }
  }
  const others = variants.map((_, i) => i).filter(i => i !== reference);
  const tasks = data.tasks.map((_, task) => task);
  const family = others.map(i => {
    const found = tasks.filter(task => deciding[task]).map(task => claimsOf(i, task));
    const judged = found.every(Boolean);
    return { i, claims: found.filter(Boolean), inQuestion: couldBe[i] && judged, left: couldBe[i] && variants[i].raced };
  });
  judgeFamily(family);
  const verdicts = variants.map(() => data.tasks.map(() => null));
  for (const m of family) for (const c of m.claims) verdicts[m.i][c.task] = c.verdict;
  // a task on which the reference guesses shows of nobody that it is good enough, but who is worse there is worse
  for (const task of tasks.filter(task => atChance[task])) {
    const beside = others.map(i => ({ i, claims: [claimsOf(i, task)].filter(Boolean), inQuestion: false, left: false }));
    judgeFamily(beside);
    for (const m of beside) if (m.claims[0]?.verdict === "worse") verdicts[m.i][task] = "worse";
  }
  for (const i of others) {
    const after = task => {
      const verdict = verdicts[i][task], claims = variants[i].shown[task];
      if (!claims) return { kind: "task", task, status: 1, short: null };
      const margin = data.margins[places[task]], scaled = claims.ratio ? Math.log1p(margin) : margin;
      return { kind: "task", task, status: verdict === "worse" ? 2 : verdict === "inconclusive" ? 1 : 0, short: Math.max(0, -scaled - claims.low) };
    };
    checks[i].push(...tasks.filter(task => deciding[task]).map(after));
    checks[i].push(...tasks.filter(task => atChance[task] && verdicts[i][task] === "worse").map(after));
  }
  const groups = checks.map(all => all.some(c => c.status === 2) ? 2 : all.some(c => c.status === 1) ? 1 : 0);
  const qualifies = groups.map(group => group === 0);

  // --- one of those that qualify, by the preference
  const anyQualifies = qualifies.some(Boolean);
  const known = metric => variants.some((_, i) => (qualifies[i] || !anyQualifies) && cost(i, metric) && (!cost(i, metric).s || cost(i, metric).e));
  const by = [prefer.metric, "peak_memory", "disk"].find(known) ?? null;
  const byReading = (metric, a, b) => a && b ? (better(metric, a.v, b.v) ? -1 : better(metric, b.v, a.v) ? 1 : 0) : a ? -1 : b ? 1 : 0;
  const weight = n => !n ? 3 : n.e ? 2 : n.s ? 1 : 0;
  const preference = (a, b, metric) => metric === null ? 0 : weight(cost(a, metric)) - weight(cost(b, metric)) || byReading(metric, cost(a, metric), cost(b, metric));
  const distance = checks.map(all => {
    const unmet = all.filter(c => c.status > 0);
    return [unmet.length, unmet.reduce((sum, c) => sum + (c.short ?? (c.status === 2 ? Infinity : 1)), 0)];
  });
  const near = (a, b) => distance[a][0] - distance[b][0] || (distance[a][1] === distance[b][1] ? 0 : distance[a][1] - distance[b][1]);
  const sorted = variants.map((_, i) => i).sort((a, b) =>
    (qualifies[b] - qualifies[a]) || (qualifies[a] ? 0 : near(a, b)) || preference(a, b, by) ||
    byReading("disk", cost(a, "disk"), cost(b, "disk")) || variants[a].last - variants[b].last);
  function firstBand(left, metric) {
    const first = [...left].sort((a, b) => preference(a, b, metric))[0];
    if (first === undefined || !cost(first, metric)) return left;
    const sideBySide = i => metric === "decode_tps" && variants[i].rounds && variants[first].rounds;
    const told = i => sideBySide(i) ? variants[first].faster_than.includes(i) : decidedly(metric, cost(i, metric), cost(first, metric)) !== 0;
    return left.filter(i => weight(cost(i, metric)) === weight(cost(first, metric)) && !told(i));
  }
  let left = sorted.filter(i => qualifies[i]), equals = null;
  for (const metric of [by, ...["peak_memory", "disk"].filter(m => m !== by)].filter(m => m !== null)) {
    left = firstBand(left, metric);
    equals ??= left;
  }
  const advised = by !== null && left.includes(reference) ? reference : left[0] ?? null;
  equals = advised === null || by === null ? [] : equals.filter(i => i !== advised);

  // --- what would be preferred: first what the items cannot tell, else what is out; of these the one nearest in cost
  const cheaper = i => by === null || decidedly(by, cost(i, by), cost(advised ?? reference, by)) === -1;
  const smaller = variants.map((_, i) => i).filter(i => !qualifies[i] && i !== reference && cheaper(i))
    .sort((a, b) => groups[a] - groups[b] || (by === null ? 0 : byReading(by, cost(b, by), cost(a, by))) || variants[a].last - variants[b].last);
  return { advised, by, equals, nearest: advised === null ? sorted[0] : null, next: smaller[0] ?? null, groups, verdicts, deciding, checks, order: sorted };
}
