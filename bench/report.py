"""What was measured, as JSON, as lines of a table, and as plots."""
import json
import statistics

from testbed import RESULTS, machine


def identity(row):
    return tuple(row.get(key) for key in ("kind", "cc", "name", "conns"))


def save(name, rows):
    """Keeps rows in the file of that name, in place of older ones that measured the same: after each
    row, so that a run that is broken off has not been for nothing."""
    kept = {identity(row): row for row in (load(name) or {"rows": []})["rows"]}
    kept |= {identity(row): row for row in rows}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(
        json.dumps({"machine": machine(), "rows": list(kept.values())}, indent=1) + "\n")


def load(name):
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def median(runs, key):
    """Of those that have a value; None without any."""
    values = [run[key] for run in runs if run.get(key) is not None]
    return statistics.median(values) if values else None


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def ratio(a, b):
    return a / b if a is not None and b else None


# ---- Loss ----------------------------------------------------------------------------------------

LOSS_UNITS = {"goodput": ("mbps", "Mb/s"), "blackout": ("seconds", "s"), "tail": ("ms", "ms")}


def loss_figures(row):
    """(ours, kernel, ratio, retransmitted by ours, by the kernel in %, corrupt bytes)"""
    key = LOSS_UNITS[row["kind"]][0]
    ours, kernel = (median(row["runs"][s], key) for s in ("ours", "kernel"))
    again = [median(row["runs"][s], "share_again") for s in ("ours", "kernel")]
    corrupt = sum(run.get("corrupt", 0) for s in row["runs"].values() for run in s)
    return ours, kernel, ratio(ours, kernel), again[0], again[1], corrupt


def loss_heading():
    return (f"{'':9} {'':6} {'':22} {'ours':>9} {'kernel':>9} {'':4} {'ratio':>6}"
            f" {'again, ours':>12} {'kernel':>7} {'corrupt':>8}")


def percent(share):
    return "-" if share is None else f"{100 * share:.2f}%"


def loss_line(row):
    ours, kernel, r, again, kernel_again, corrupt = loss_figures(row)
    text = f"{row['kind']:9} {row['cc']:6} {row['name']:22} "
    if "missing" in row:
        return text + f"not available: {', '.join(row['missing'])}"
    return text + (f"{number(ours):>9} {number(kernel):>9} {LOSS_UNITS[row['kind']][1]:4}"
                   f" {number(r):>6} {percent(again):>12} {percent(kernel_again):>7} {corrupt:8}")


# ---- Speed ---------------------------------------------------------------------------------------

def bench_heading(peers):
    heads = [f"{name:>11} {'':>6}" if name == "netstack" else f"{name:>11} {'ours/':>6}"
             for name in peers]
    return f"{'':52} {'':5}" + " ".join(heads)


def figure(peer):
    """A figure as text, with a mark if what disturbed it could not be avoided."""
    if peer is None:
        return ""
    value = peer["value"]
    if value is None:
        return "failed"
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2
    return f"{value:,.{digits}f}{'~' if peer['spoilt'] else ''}"


def advantage(row, name):
    """How much better ours is than that peer: above 1 whether more or less is better."""
    ours, theirs = (row["peers"].get(n, {}).get("value") for n in ("netstack", name))
    if name == "netstack" or not ours or not theirs:
        return None
    return ours / theirs if row["more"] else theirs / ours


def bench_line(row, peers):
    text = f"{row['name']:52} {row['unit']:5}"
    for name in peers:
        better = advantage(row, name)
        text += f"{figure(row['peers'].get(name)):>11} {number(better) if better else '':>6} "
    return text
