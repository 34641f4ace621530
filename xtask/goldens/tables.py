"""tests/golden/data: one table as Parquet in the codecs that datasets of the hub come in, written by pyarrow; with it the same rows as
JSON. `make` writes them, `check` reads them and holds them against the rows."""

import json

from common import GOLDEN, Making


def rows():
    for i in range(40):
        yield {
            "question": None if i == 7 else f"What is {i} and one? é日",
            "choices": {"text": [str(i + k) for k in range(3)], "label": ["A", "B", "C"]},
            "answerKey": "ABC"[i % 3],
            "score": i / 4,
            "many": [i] * (i % 4),
        }


if __name__ == "__main__":
    import pyarrow
    import pyarrow.parquet as parquet

    making = Making()
    table = pyarrow.Table.from_pylist(list(rows()))
    for codec in ["zstd", "gzip", "snappy", "none"]:
        for version in ["1.0", "2.0"]:
            path = GOLDEN / "data" / f"{codec}-v{version[0]}.parquet"
            if making.writes:
                parquet.write_table(
                    table, path, compression=codec, data_page_version=version, row_group_size=25, data_page_size=128,
                )
            else:
                making.compare(path.name, list(rows()), parquet.read_table(path).to_pylist())
    making.text("data/rows.json", json.dumps(list(rows()), ensure_ascii=False))
    making.end()
