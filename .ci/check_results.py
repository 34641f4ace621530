"""Reads a report as another program would, and says what is wrong with it."""
import csv, json, math, sys, xml.dom.minidom
from pathlib import Path

folder = Path(sys.argv[1])
results = json.loads((folder / "results.json").read_text())
rows = list(csv.DictReader((folder / "results.csv").open()))
html = (folder / "report.html").read_text()
problems = []


def need(holds, what):
    if not holds:
        problems.append(what)


need(results["schema"] == "bantam.results/1", "schema name")
need(len(rows) == len(results["records"]), "csv and json tell the same number of figures")
need(results["advice"]["conclusion"], "an advice")
tasks = {r["ask"] for r in rows if r["metric"] in ("acc", "exact_match", "bits_per_byte") and not r["slice"]} - {"overall"}
need(len(tasks) == 6, f"six tasks, not {sorted(tasks)}")
need(len({r["variant"] for r in rows}) == 18, "18 variants")
for r in rows:
    need(r["value"] or r["how"], f"a missing figure without a reason: {r}")
    if r["value"]:
        need(math.isfinite(float(r["value"])) and r["unit"] is not None and r["provenance"], f"a bare figure: {r}")
    if r["value"] and r["low"]:
        need(float(r["low"]) <= float(r["value"]) * (1 + 1e-9) and float(r["value"]) <= float(r["high"]) * (1 + 1e-9), f"interval: {r}")
need("<script src" not in html and 'src="http' not in html and html.count("<svg") >= 4, "a self-contained report")
for svg in folder.glob("charts/*.svg"):
    xml.dom.minidom.parse(str(svg))
for problem in problems[:20]:
    print("wrong:", problem)
print(f"{len(rows)} figures, {len(problems)} problems")
sys.exit(bool(problems))
