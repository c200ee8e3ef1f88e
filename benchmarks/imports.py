"""How long `import qvim_kit` takes, beside an interpreter that does nothing.

python benchmarks/imports.py [--rounds 5]
"""

from __future__ import annotations

import subprocess
import sys

from side_by_side import Table, arguments


def main() -> None:
    options = arguments(__doc__).parse_args()
    table = Table(options)

    def started(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    row = table.compare(
        "import qvim_kit",
        lambda: started("pass"),
        lambda: started("import qvim_kit"),
        beside="an interpreter that does nothing",
        cost=True,
    )
    verdict = "met" if row.kit_s < 0.3 else "not met"
    table.note(f"import qvim_kit with its interpreter: {row.kit_s:.3f} s, aim < 0.3 s: {verdict}")
    table.finish()


if __name__ == "__main__":
    main()
