"""``harness check``: hold methods to what every method must keep to."""

from __future__ import annotations

import sys

import click

from harness.errors import HarnessError, failure


@click.command("check")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def check_command(names: tuple[str, ...]) -> None:
    """Hold methods to what every method must keep to; yours, too, once its package is installed.

    Each check is a small search or two. One that does not apply says why.

    Exit code: 0 all kept to it, 1 some did not, 2 wrong usage or input.
    """
    from harness.registry import get_plugin, methods

    entries = dict.fromkeys(get_plugin("method", name, methods()) for name in names)
    kept = [_keeps(entry.name, f"{entry.provider}, {entry.target.rstrip(':')}") for entry in entries]
    if not all(kept):
        sys.exit(1)


def _keeps(name: str, where: str) -> bool:
    """Print a method's checks; whether it keeps to the contract. Whatever one raises, the others go on."""
    from harness.contract import Broken, NotApplicable
    from harness.contract.checks import checks, contract_of
    from harness.registry import get_method
    from harness.study.configure import configure

    click.echo(f"{name} ({where})")
    try:
        method = get_method(name)
        configure([name], {})  # a default that is refused would fail every check alike
    except HarnessError as error:
        click.echo(f"  FAIL  it can be loaded: {error}\n{name}: cannot be checked")
        return False
    counts = {"ok": 0, "n/a": 0, "FAIL": 0}
    contract = contract_of(method)
    for title, check in checks(contract):
        try:
            contract.setup_method()
            check()
            verdict, why = "ok", ""
        except NotApplicable as reason:
            verdict, why = "n/a", f"not applicable: {reason}"
        except (Broken, HarnessError) as error:
            verdict, why = "FAIL", str(error)
        except Exception as error:  # of the plug-in
            verdict, why = "FAIL", failure(error)
        counts[verdict] += 1
        click.echo(f"  {verdict:4}  {title}" + f"\n          {why}" * bool(why))
    passed, apart, failed = counts.values()
    click.echo(f"{name}: {passed} checks passed, {failed} failed, {apart} not applicable")
    return passed > 0 and not failed
