#!/usr/bin/python3
"""`make bench-docs`: what the last runs measured, into docs/performance.md.

The text between a pair of marks there, `<!-- NAME: generated -->` and `<!-- NAME: end -->`, is replaced
by a table and plots of the results called NAME; what stands around it is written by people. Results
that there are none of leave their part as it is."""
import re

import matplotlib

import report
import testbed

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

DOCUMENT = testbed.ROOT / "docs/performance.md"
PLOTS = testbed.ROOT / "docs/performance"
COLOURS = {"ours": "#c0392b", "kernel": "#2c3e50"}
STYLES = {"cubic": "-", "bbr": "--"}
PEERS = {"kernel": "the kernel, veth", "device": "the device alone", "gvisor": "gVisor",
         "gvisor-gso": "gVisor with virtio headers", "lwip": "lwIP"}

# The same results give the same bytes.
plt.rcParams.update({"svg.hashsalt": "netstack", "font.size": 9, "axes.grid": True,
                     "grid.alpha": 0.3})


def save_plot(figure, name):
    """Returns the line that shows it."""
    PLOTS.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(PLOTS / f"{name}.svg", metadata={"Date": None})
    plt.close(figure)
    return f"![{name}](performance/{name}.svg)"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def origin(machine):
    return (f"Measured on {machine['date']} at commit {machine['commit']}: Linux {machine['kernel']}, "
            f"{machine['processors']} × {machine['processor']}.")


# ---- Loss ----------------------------------------------------------------------------------------

def loss_table(rows):
    def line(row):
        ours, kernel, ratio, again, kernel_again, corrupt = report.loss_figures(row)
        if "missing" in row:
            return [row["cc"], row["name"], "not available", "", "", "", "", ""]
        unit = report.LOSS_UNITS[row["kind"]][1]
        return [row["cc"], row["name"], f"{report.number(ours)} {unit}",
                f"{report.number(kernel)} {unit}", report.number(ratio), report.percent(again),
                report.percent(kernel_again), str(corrupt)]
    return table(["", "", "ours", "kernel", "ratio", "again, ours", "again, kernel",
                  "corrupt bytes"], [line(row) for row in rows])


def plot_loss(rows, rtt_ms):
    figure, axes = plt.subplots(figsize=(6, 3.4))
    for cc in STYLES:
        column = [r for r in rows if r["cc"] == cc and r.get("cell", {}).get("effect") == "loss" and
                  r["cell"]["rtt_ms"] == rtt_ms and "missing" not in r]
        for sender, index in (("ours", 0), ("kernel", 1)):
            values = [report.loss_figures(r)[index] for r in column]
            axes.plot([r["cell"]["share"] for r in column], values, STYLES[cc], marker="o",
                      color=COLOURS[sender], label=f"{sender}, {cc}")
    axes.set(xlabel="frames lost, in each direction", ylabel="Mb/s", yscale="log",
             title=f"Goodput under loss, RTT {rtt_ms} ms")
    axes.legend()
    return save_plot(figure, f"loss-rtt{rtt_ms}")


def publish_loss(results):
    rows = results["rows"]
    kinds = {kind: [r for r in rows if r["kind"] == kind] for kind in report.LOSS_UNITS}
    seeds = max(len(r["seeds"]) for r in rows)
    text = [origin(results["machine"]) + (f" Medians of {seeds} seeds." if seeds > 1 else " One seed.")]
    for rtt_ms in sorted({r["cell"]["rtt_ms"] for r in kinds["goodput"]}):
        text.append(plot_loss(kinds["goodput"], rtt_ms))
    for kind, title in (("goodput", "Goodput"), ("blackout", "Blackouts: time back to full rate"),
                        ("tail", "Lost tails of short answers: time to the end")):
        if kinds[kind]:
            text += [f"**{title}**", loss_table(kinds[kind])]
    return text


# ---- Speed ---------------------------------------------------------------------------------------

def plot_speed(rows):
    figure, axes = plt.subplots(figsize=(7, 0.24 * len(rows) + 1.2))
    for peer, marker in zip(PEERS, "os^vD"):
        points = [(report.advantage(row, peer), -i) for i, row in enumerate(rows)]
        points = [p for p in points if p[0]]
        axes.plot([x for x, _ in points], [y for _, y in points], marker, label=PEERS[peer])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="ours / theirs: right of the line, ours is better",
             yticks=[-i for i in range(len(rows))], yticklabels=[row["name"] for row in rows])
    axes.legend(fontsize=8)
    return save_plot(figure, "speed")


def publish_bench(results):
    rows = results["rows"]

    def cell(row, peer):
        text, better = report.figure(row["peers"].get(peer)), report.advantage(row, peer)
        return f"{text} ({report.number(better)})" if better else text

    return [origin(results["machine"]) +
            " In brackets: ours / theirs, above 1 where ours is better. `~`: disturbed.",
            plot_speed(rows),
            table(["", "", "ours", *PEERS.values()],
                  [[row["name"], row["unit"], report.figure(row["peers"]["netstack"]),
                    *(cell(row, peer) for peer in PEERS)] for row in rows])]


def publish_programs(results):
    def line(row):
        ours, kernel = (report.figure(row["peers"][peer]) for peer in ("netstack", "kernel"))
        better = report.advantage(row, "kernel")
        return [row["name"], row["unit"], ours, kernel, report.number(better)]

    return [origin(results["machine"]) + " The ratio is above 1 where ours is better.",
            table(["", "", "under `netstack run`", "the kernel, veth", "ratio"],
                  [line(row) for row in results["rows"]])]


def publish_queues(results):
    def line(row):
        two, one = (report.figure(row["peers"][peer]) for peer in ("netstack", "one queue"))
        return [row["name"], row["unit"], two, one,
                report.number(report.advantage(row, "one queue"))]

    return [origin(results["machine"]) + " `~`: disturbed.",
            table(["", "", "two queues", "one queue", "ratio"],
                  [line(row) for row in results["rows"]])]


def publish_connections(results):
    rows, first = results["rows"], results["rows"][0]

    def cell(row, key):
        return f"{row[key]:,.0f} ({row[key] / first[key]:.2f})"

    return [origin(results["machine"]),
            table(["connections", "instructions", "ns, 64 of them active", "ns, all active"],
                  [[f"{row['conns']:,}", *(cell(row, key) for key in
                                           ("instructions", "ns_few", "ns_all"))]
                   for row in rows])]


# ---- The document --------------------------------------------------------------------------------

def main():
    text = DOCUMENT.read_text()
    for name, publish in (("bench", publish_bench), ("programs", publish_programs),
                          ("queues", publish_queues),
                          ("connections", publish_connections), ("loss", publish_loss)):
        results = report.load(name)
        if not results:
            print(f"{name}: no results in {testbed.RESULTS}")
            continue
        part = "\n\n".join(publish(results))
        text, n = re.subn(rf"(<!-- {name}: generated -->\n).*?(<!-- {name}: end -->)",
                          lambda m: m[1] + "\n" + part + "\n\n" + m[2], text, flags=re.S)
        assert n == 1, f"{DOCUMENT} has no place for {name}"
        print(f"{name}: in {DOCUMENT.relative_to(testbed.ROOT)}")
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
