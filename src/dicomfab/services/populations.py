"""Populations: many patients with studies over years, written into a folder."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.disk import disk_full, is_disk_full
from dicomfab.model.errors import Conflict, DicomFabError, Interrupted, InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.declared_defects import defect_note
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.services.recording import Record, nobody, recorded

if TYPE_CHECKING:
    from dicomfab.fabricate.population.recipe import PopulationRecipe
    from dicomfab.fabricate.population.writing import Written

MANIFEST: Final = "population.json"
LOCK: Final = f".{MANIFEST}.lock"
# Patients that are handed to a process at once, and recorded in one entry of the audit log.
CHUNK: Final = 20


@dataclass(frozen=True, slots=True)
class PopulationMade:
    """A population that was made.

    Args:
        recipe: with seed and last day decided; it makes the same bytes again.
        directory: where it is.
        patients: how many.
        studies: how many, of all turns.
        instances: of these.
        size_bytes: their files together.
        kept: studies that were there already.
        seconds: that this turn took.
    """

    recipe: PopulationRecipe
    directory: Path
    patients: int
    studies: int
    instances: int
    size_bytes: int
    kept: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PopulationService:
    """Plans populations and writes them as plain files.

    Args:
        now: local time of the site.
        draw_seed: for recipes without a seed.
        note_studies: told of studies before anything of them is kept.
        record: where to record what is made.
    """

    now: Callable[[], datetime.datetime]
    draw_seed: Callable[[], int]
    note_studies: Callable[[Iterable[str]], None] = lambda _study_instance_uids: None
    record: Record = nobody

    def load(self, actor: Actor, file: Path) -> PopulationRecipe:
        """A population from a YAML or JSON file; still to be resolved.

        Raises:
            InvalidInput: it is none; names the field and its line.
            NotFound: there is no such file.
        """
        from dicomfab.fabricate.population.file import read

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        try:
            return read(file.read_text("utf-8"), source=file.name)
        except OSError as error:
            raise NotFound(
                f"population {file} cannot be read ({error.strerror})",
                cause="there is no such file, or it may not be read",
                remedy="name a YAML or JSON file",
            ) from error
        except UnicodeDecodeError:
            raise InvalidInput(
                f"file: {file.name} is not UTF-8 text",
                field="file",
                value=str(file),
                cause="a population is a text file",
                remedy="save it as UTF-8",
            ) from None

    def resolve(self, actor: Actor, recipe: PopulationRecipe) -> PopulationRecipe:
        """Check a population and decide its seed and last day.

        Raises:
            InvalidInput: a value that cannot be used, by the name of its field.
        """
        from dicomfab.fabricate.population.resolve import resolve

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        return resolve(recipe, today=self.now().date(), draw_seed=self.draw_seed)

    def plan(self, actor: Actor, recipe: PopulationRecipe) -> dict[str, Any]:
        """What a resolved population would be, counted; nothing is made.

        Returns:
            ``patients``, ``studies``, ``instances``, and by name how many ``modalities``, ``exams``, ``years``,
            ``sexes`` and ``defects``.
        """
        from dicomfab.fabricate.population.plan import summary

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        return summary(recipe)

    def create(
        self,
        actor: Actor,
        recipe: PopulationRecipe,
        directory: Path,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
        workers: int | None = None,
    ) -> PopulationMade:
        """Make a resolved population in an empty folder: ``PATIENT/STUDY`` with instances and ``truth.json`` in each.

        Args:
            actor: who asks.
            recipe: see :meth:`resolve`.
            directory: made if it does not exist.
            on_progress: told how many instances are written; of how many is not known before the end.
            cancelled: asked again and again.
            workers: processes; by default one per processor. The bytes do not depend on it.

        Raises:
            InvalidInput: the folder cannot be written.
            Conflict: the folder is not empty, or another process writes a population into it.
            DiskFull: no space is left; what is there are complete studies.
            Interrupted: it was cancelled, likewise; see :meth:`resume`.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        with _locked(directory):
            _begin(directory, recipe)
            return self._made(actor, recipe, directory, on_progress, cancelled, workers)

    def resume(
        self,
        actor: Actor,
        directory: Path,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
        workers: int | None = None,
    ) -> PopulationMade:
        """Go on with a folder whose population is not complete; studies that are there are kept.

        Raises:
            InvalidInput: the folder cannot be written.
            NotFound: the folder holds no population.
            Conflict: another version of the software began it, or another process goes on with it.
            Interrupted: it was cancelled again.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        recipe = _begun(directory)
        with _locked(directory):
            return self._made(actor, recipe, directory, on_progress, cancelled, workers)

    def _made(
        self,
        actor: Actor,
        recipe: PopulationRecipe,
        directory: Path,
        on_progress: OnProgress,
        cancelled: Cancelled,
        workers: int | None,
    ) -> PopulationMade:
        from dicomfab.fabricate.population.writing import written
        from dicomfab.fabricate.render.batches import default_workers

        start = time.perf_counter()
        studies = instances = size = kept = 0
        with recorded(self.record, _event(actor, directory)) as noted:
            chunks = self._known(recipe, directory)
            for done in written(chunks, workers or default_workers(), cancelled):
                studies += len(done)
                instances += sum(one.instances for one in done)
                size += sum(one.size_bytes for one in done)
                kept += sum(one.was_there for one in done)
                new = [one for one in done if not one.was_there]
                if new:
                    self.record(_event(actor, directory, new))
                on_progress(Progress("fabricating", instances))
            noted.add(detail={"studies": str(studies), "instances": str(instances)})
            if cancelled():
                raise Interrupted(
                    f"fabrication was cancelled after {studies} studies, which are complete",
                    remedy=f"go on with it: dicomfab population create --out {directory} --resume; or delete it",
                )
        return PopulationMade(
            recipe, directory, recipe.patients, studies, instances, size, kept, time.perf_counter() - start
        )

    def _known(self, recipe: PopulationRecipe, directory: Path) -> Iterator[Sequence[Any]]:
        """The work in portions, each known to the ledger when it is given out."""
        from dicomfab.fabricate.population.plan import studies
        from dicomfab.fabricate.population.writing import Task

        for first in range(0, recipe.patients, CHUNK):
            planned = list(studies(recipe, first, min(first + CHUNK, recipe.patients)))
            uids = [one.study.study_instance_uid for one in planned]
            broken = [defect_note(one.study.study_instance_uid) for one in planned if one.study.defects]
            self.note_studies([*uids, *broken])
            yield [Task.of(one, directory) for one in planned]


def _event(actor: Actor, directory: Path, made: Sequence[Written] = ()) -> AuditEvent:
    return AuditEvent.by(
        actor,
        EventKind.FABRICATION,
        environment=str(Environment.TEST),
        subject=str(directory),
        study_uids=tuple(one.study_instance_uid for one in made),
        patient_ids=tuple(dict.fromkeys(one.patient_id for one in made)),
    )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Have a folder for this process alone, made if it does not exist; the lock ends with the process."""
    path = directory / LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise _unusable(directory, error) from error
    with file:
        _lock(file.fileno(), path)
        try:
            yield
        finally:
            with suppress(OSError):  # one that stays is in nobody's way
                path.unlink()


def _lock(handle: int, path: Path) -> None:
    taken = Conflict(
        f"another process writes the population in {path.parent}",
        cause="it was started before and has not ended",
        remedy="wait for it, or stop it and go on with the folder: --resume",
    )
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.path.samestat(os.fstat(handle), path.stat())
    except (BlockingIOError, FileNotFoundError):
        raise taken from None
    except OSError as error:
        raise _unusable(path.parent, error) from error
    if not is_there:  # who had it removed it, and somebody else has a new one
        raise taken


def _unusable(directory: Path, error: OSError) -> DicomFabError:
    if is_disk_full(error):
        return disk_full(directory)
    return InvalidInput(
        f"out: {directory} cannot be written",
        field="out",
        value=str(directory),
        cause="it is a file, not a folder" if isinstance(error, FileExistsError) else str(error.strerror or error),
        remedy="name a folder that can be written, or one that can be made",
    )


def _begin(directory: Path, recipe: PopulationRecipe) -> None:
    """Take a folder for a population, which its manifest describes."""
    from dicomfab.fabricate.recipe import RENDERER_VERSION

    part = directory / f".{MANIFEST}.{os.getpid()}.part"
    try:
        if any(one.name != LOCK for one in directory.iterdir()):
            raise Conflict(
                f"{directory} is not empty",
                cause="a population never mixes with or replaces other files",
                remedy="name another folder; or, if it holds an incomplete population, go on with it: --resume",
            )
        text = json.dumps({"renderer": RENDERER_VERSION, "population": recipe.as_dict()}, ensure_ascii=False, indent=1)
        part.write_text(text + "\n", "utf-8")
        part.replace(directory / MANIFEST)
    except OSError as error:
        raise _unusable(directory, error) from error


def _begun(directory: Path) -> PopulationRecipe:
    from dicomfab.fabricate.population.recipe import PopulationRecipe
    from dicomfab.fabricate.recipe import RENDERER_VERSION

    another = Conflict(
        f"{directory} was begun by another version of this software",
        cause="the same recipe makes other bytes now",
        remedy="delete the folder and make the population anew",
    )
    try:
        found = json.loads((directory / MANIFEST).read_text("utf-8"))
        renderer, recipe = found["renderer"], PopulationRecipe.from_dict(found["population"])
    except FileNotFoundError:
        raise NotFound(
            f"{directory} holds no population",
            cause=f"there is no {MANIFEST} in it",
            remedy="make one: dicomfab population create --out FOLDER",
        ) from None
    except OSError as error:
        raise _unusable(directory, error) from error
    except (ValueError, KeyError, TypeError):
        raise another from None
    if renderer != RENDERER_VERSION:
        raise another
    return recipe
