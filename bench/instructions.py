#!/usr/bin/python3
"""`make bench-instructions`: how many instructions the stack takes for fixed steps (scenario.c),
under callgrind, beside the counts that are kept in instructions.json. They hardly vary from run to
run, so a change that costs shows on a machine where no clock can be trusted.

With --keep the counts become the ones that are kept. With --table the cost of an exchange is
measured as the table of connections grows, in instructions and by the clock."""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import report
import testbed

KEPT = pathlib.Path(__file__).with_name("instructions.json")
SCENARIOS = ("segment-in", "burst-in", "super-segment-in", "segment-out", "super-segment-out",
             "ack-in", "exchange", "connect", "turnover", "datagram-in", "datagram-out",
             "datagrams-in", "datagrams-out")
COUNT = 500
TOLERANCE = 0.02  # share by which a count may grow before it is an error
TABLE = (1, 1000, 100_000, 1_000_000)
ACTIVE = 64
CLOCK_COUNT = 100_000


def scenario(*args):
    return [testbed.program("bench/scenario"), *map(str, args)]


def instructions(name, conns=1, active=1):
    """Of one round."""
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory) / "out"
        subprocess.run(["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
                        "--collect-atstart=no", f"--callgrind-out-file={out}",
                        *scenario(name, conns, active, COUNT)],
                       check=True, stdout=subprocess.DEVNULL)
        return int(re.search(r"^totals: (\d+)", out.read_text(), re.M)[1]) / COUNT


def nanoseconds(name, conns, active):
    """The least of several, since nothing makes a run faster than it is."""
    runs = [json.loads(subprocess.run(scenario(name, conns, active, CLOCK_COUNT), check=True,
                                      stdout=subprocess.PIPE).stdout)["ns"] for _ in range(3)]
    return min(runs)


def compare():
    """Prints the counts beside those kept; the new ones, and whether none has grown."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    fresh, good = {}, True
    print(f"{'instructions':20} {'kept':>10} {'now':>10} {'now/kept':>9}")
    for name in SCENARIOS:
        fresh[name] = round(instructions(name))
        ratio = fresh[name] / kept[name] if name in kept else None
        grown = ratio is not None and ratio > 1 + TOLERANCE
        good = good and not grown
        print(f"{name:20} {kept.get(name, '-'):>10} {fresh[name]:>10} "
              f"{report.number(ratio, 3):>9}{'  more' if grown else ''}", flush=True)
    return fresh, good


def table():
    """What an exchange of a byte costs as connections grow in number: with a few of them active,
    which is the cost of the structures, and with all of them, which is that of the caches too."""
    rows = []
    print(f"{'connections':>12} {'instructions':>13} {'ratio':>6} {'ns, few active':>15} "
          f"{'ratio':>6} {'ns, all active':>15} {'ratio':>6}")
    for conns in TABLE:
        active = min(ACTIVE, conns)
        row = {"conns": conns, "instructions": instructions("exchange", conns, active),
               "ns_few": nanoseconds("exchange", conns, active),
               "ns_all": nanoseconds("exchange", conns, conns)}
        rows.append(row)
        text = f"{conns:>12,}"
        for key, width in (("instructions", 13), ("ns_few", 15), ("ns_all", 15)):
            text += f" {row[key]:>{width}.0f} {row[key] / rows[0][key]:>6.2f}"
        print(text, flush=True)
    report.save("connections", rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keep", action="store_true", help="keep the new counts")
    parser.add_argument("--table", action="store_true", help="with a growing number of connections")
    options = parser.parse_args()
    if options.table:
        table()
        return
    fresh, good = compare()
    if options.keep:
        KEPT.write_text(json.dumps(fresh, indent=1) + "\n")
    elif not good:
        sys.exit(f"bench-instructions: more than are kept in {KEPT.name}")


if __name__ == "__main__":
    main()
