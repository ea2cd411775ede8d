"""``harness check``: hold methods to the contract of all methods."""

from __future__ import annotations

import sys
from collections import Counter

import click


@click.command("check")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def check_command(names: tuple[str, ...]) -> None:
    """Check that methods keep to the contract of all methods; yours too, once its package is installed.

    Each check is a small search or two. A check that does not apply says why.

    Exit code: 0 all kept to it, 1 some did not, 2 wrong usage or input.
    """
    from harness.registry import get_plugin, methods

    entries = dict.fromkeys(get_plugin("method", name, methods()) for name in names)
    kept = [_print_checks(entry.name, f"{entry.provider}, {entry.target.rstrip(':')}") for entry in entries]
    if not all(kept):
        sys.exit(1)


def _print_checks(name: str, where: str) -> bool:
    """Print a method's checks as they are made; returns whether the method keeps to the contract."""
    from harness.api.contracts import each_check

    click.echo(f"{name} ({where})")
    counts: Counter[str] = Counter()
    for result in each_check(name):
        counts[result.verdict] += 1
        click.echo(f"  {result.verdict:4}  {result.title}" + f"\n          {result.reason}" * bool(result.reason))
    if not counts["ok"] and counts.total() == 1:
        click.echo(f"{name}: cannot be checked")
        return False
    click.echo(f"{name}: {counts['ok']} checks passed, {counts['FAIL']} failed, {counts['n/a']} not applicable")
    return counts["ok"] > 0 and not counts["FAIL"]
