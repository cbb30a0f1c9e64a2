"""``dicomfab study derive``: lossily compressed copies of a local study's images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.services.derivation import Derived


def derive(
    study: Annotated[str, typer.Argument(help="Study Instance UID, accession number, or 'latest'.")],
    lossy: Annotated[str, typer.Option(help="jpeg, jpeg-extended, jpeg-ls-near or j2k-lossy.")],
    quality: Annotated[
        int | None,
        typer.Option(
            help="jpeg and jpeg-extended: 1 to 100 (default 90 and 95). jpeg-ls-near: how much a sample may differ, "
            "1 to 127 (2). j2k-lossy: signal to noise in dB, 20 to 100 (60)."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also compress what is lossy already.")] = False,
    as_json: output.Json = False,
) -> None:
    """Compress the images of a local study with loss, as new series of the same study.

    The images stay as they are. The derived ones have UIDs of their own and name their source, method and ratio.
    """
    service = application().studies
    study_uid = service.resolve_reference(actor(), study)
    with shown("derive", quiet=as_json) as view:
        made = service.derive_lossy(
            actor(),
            study_uid,
            lossy,
            quality=quality,
            again=again,
            on_progress=view.on_progress,
            cancelled=view.cancelled,
        )
    if as_json:
        output.print_json(_as_dict(made))
    else:
        _print(made)


def _print(made: Derived) -> None:
    instances = output.counted(sum(one.instances for one in made.series), "instance")
    sizes = f"{made.source_bytes / 1e6:.1f} MB to {made.size_bytes / 1e6:.1f} MB"
    output.print_text(f"Compressed {instances} with {made.transfer_syntax}, quality {made.quality}: {sizes}")
    for one in made.series:
        output.print_text(
            f"  series {one.series_number}  {output.counted(one.instances, 'instance')}  {one.series_instance_uid}"
        )
    for left in made.left_out:
        output.print_text(
            f"  left out: {output.counted(left.instances, 'instance')} of {left.series_instance_uid}: {left.reason}"
        )


def _as_dict(made: Derived) -> dict[str, Any]:
    import dataclasses

    return {**dataclasses.asdict(made), "seconds": round(made.seconds, 3)}
