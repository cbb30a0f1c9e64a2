"""The local study store: fabricate, list, show, delete, export."""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.access.policy import Action, Scope, require, visible
from dicomfab.archive.archive import Archive
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Interrupted, InvalidInput, NotFound
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment, is_uid
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never

if TYPE_CHECKING:
    from dicomfab.archive.records import ReindexReport, StudyDetail, StudyFilter, StudyPage, StudySort
    from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Fabricated:
    """A study that was made.

    Args:
        resolved: the recipe with everything that could vary filled in; it makes the same bytes again.
        instances: how many SOP instances.
        size_bytes: their files together.
        seconds: time taken.
        directory: where plain files were written; ``None`` for the local store.
    """

    resolved: ResolvedStudy
    instances: int
    size_bytes: int
    seconds: float
    directory: Path | None = None


def patient_given(name: str, patient_id: str, birth_date: str, sex: str) -> Patient | None:
    """The patient that a form or command names, blanks where it leaves something to be invented."""
    if not any((name, patient_id, birth_date, sex)):
        return None
    return Patient(name=name.strip(), patient_id=patient_id.strip(), birth_date=birth_date, sex=sex)


@dataclass(slots=True)
class StudyService:
    """Studies of the local store; each carries the environment that it came from, and the policy applies to it."""

    local: Archive
    now: Callable[[], datetime.datetime]
    draw_seed: Callable[[], int]

    def resolve_recipe(self, actor: Actor, recipe: StudyRecipe) -> ResolvedStudy:
        """Fill in what the recipe leaves open.

        Raises:
            InvalidInput: a field that cannot be used, by name.
        """
        from dicomfab.fabricate.recipe import resolve

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        seed = self.draw_seed() if recipe.seed is None else recipe.seed
        if recipe.seed is not None and recipe.study_time is None:
            # With a seed of the user's the clock must not decide: the same recipe has to make the same bytes.
            recipe = replace(recipe, study_time=_working_hour(seed))
        recipe = replace(recipe, seed=seed, patient=_completed(recipe.patient, seed))
        return resolve(recipe, now=self.now(), draw_seed=self.draw_seed)

    def create(
        self, actor: Actor, resolved: ResolvedStudy, *, on_progress: OnProgress = ignore, cancelled: Cancelled = never
    ) -> Fabricated:
        """Fabricate into the local store, all or nothing.

        Making the same resolved recipe again changes nothing: the same bytes have the same UIDs.
        """
        from dicomfab.fabricate.study import count, fabricate

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        start, total, size, done = time.perf_counter(), count(resolved), 0, 0
        with self.local.batch() as batch:
            for instance in fabricate(resolved):
                if cancelled():
                    raise Interrupted("fabrication was cancelled; nothing was kept")
                incoming = batch.begin(instance.identity)
                for buffer in instance.buffers:
                    incoming.write(buffer)
                incoming.commit(environment=Environment.TEST)
                size += sum(len(buffer) for buffer in instance.buffers)
                done += 1
                on_progress(Progress("fabricating", done, total))
        return Fabricated(resolved, done, size, time.perf_counter() - start)

    def write_files(
        self, actor: Actor, resolved: ResolvedStudy, directory: Path, *, on_progress: OnProgress = ignore
    ) -> Fabricated:
        """Fabricate plain DICOM files into a folder instead of the local store."""
        from dicomfab.fabricate.sinks import write_files

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        start = time.perf_counter()
        files = write_files(resolved, directory, lambda done, of: on_progress(Progress("writing", done, of)))
        size = sum(file.path.stat().st_size for file in files)
        return Fabricated(resolved, len(files), size, time.perf_counter() - start, directory)

    def page(
        self,
        actor: Actor,
        search: StudyFilter | None = None,
        *,
        sort: StudySort | None = None,
        descending: bool = True,
        limit: int = 100,
        offset: int = 0,
    ) -> StudyPage:
        """One page of the studies that the actor may see; the newest first unless told otherwise."""
        from dicomfab.archive.records import StudyFilter, StudySort

        return self.local.studies(
            search or StudyFilter(),
            sort=sort or StudySort.STORED,
            descending=descending,
            limit=limit,
            offset=offset,
            environments=visible(actor, Action.VIEW),
        )

    def show(self, actor: Actor, study_instance_uid: str) -> StudyDetail:
        """One study with its series.

        Raises:
            NotFound: no such study.
            AccessDenied: the study came from an environment that the actor may not view.
        """
        detail = self.local.study(study_instance_uid)
        require(actor, Action.VIEW, detail.summary.environment)
        return detail

    def resolve_reference(self, actor: Actor, reference: str) -> str:
        """Find the study that a person means: a UID, an accession number, or ``latest``.

        Raises:
            NotFound: none, with what to do.
            InvalidInput: more than one.
        """
        from dicomfab.archive.records import StudyFilter

        reference = reference.strip()
        if reference.casefold() == LATEST:
            found = self.page(actor, limit=1).studies
        elif is_uid(reference) and self.local.has_study(reference):
            return reference
        else:
            found = self.page(actor, StudyFilter(accession_number=_literal(reference)), limit=2).studies
        if not found:
            raise NotFound(
                f"there is no local study {reference!r}.",
                cause="a study is named by its Study Instance UID, its accession number, or 'latest'",
                remedy="see what there is: dicomfab study list",
            )
        if len(found) > 1:
            raise InvalidInput(
                f"study: {reference!r} fits more than one local study",
                field="study",
                value=reference,
                cause="several studies share this accession number",
                remedy="use the Study Instance UID: dicomfab study list",
            )
        return found[0].study_instance_uid

    def delete(self, actor: Actor, study_instance_uid: str) -> StudyDetail:
        """Remove a study and its files from the local store; returns what was removed."""
        detail = self.show(actor, study_instance_uid)
        require(actor, Action.DELETE, detail.summary.environment)
        self.local.delete_study(study_instance_uid)
        return detail

    def reindex(self, actor: Actor) -> ReindexReport:
        """Rebuild the index from the files, for when it is damaged.

        A study's environment is in no file: where the old index cannot be read, the study counts as production.
        """
        require(actor, Action.CONFIGURE, Scope.SYSTEM)
        return self.local.reindex()

    def export(
        self, actor: Actor, study_instance_uid: str, directory: Path, *, on_progress: OnProgress = ignore
    ) -> list[Path]:
        """Copy a study's files into a folder, named by series and instance.

        Raises:
            InvalidInput: the folder holds other files already; nothing was written.
        """
        detail = self.show(actor, study_instance_uid)
        require(actor, Action.EXPORT, detail.summary.environment)
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise InvalidInput(
                f"out: {directory} is not an empty folder",
                field="out",
                value=str(directory),
                cause="an export never mixes with or replaces other files",
                remedy="name a new or empty folder",
            )
        instances = self.local.instances(study_instance_uid)
        written: list[Path] = []
        for done, instance in enumerate(instances, start=1):
            folder = directory / instance.series_instance_uid
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"{instance.identity.sop_instance_uid}.dcm"
            shutil.copyfile(instance.path, target)
            written.append(target)
            on_progress(Progress("exporting", done, len(instances)))
        return written


def _completed(patient: Patient | None, seed: int) -> Patient | None:
    """Fill in what a partly given patient leaves open.

    The identifier follows from seed and name, so that two names never share one; sex and birth date stay empty
    where a name is given, since nothing is known of that person.
    """
    if patient is None or (patient.name and patient.patient_id):
        return patient
    from dicomfab.fabricate.people import invent
    from dicomfab.fabricate.seeds import derive

    someone = invent(derive(seed, patient.name), datetime.date(2000, 1, 1))
    if patient.name:
        return replace(patient, patient_id=someone.patient_id)
    return replace(
        patient,
        name=someone.name,
        patient_id=patient.patient_id or someone.patient_id,
        birth_date=patient.birth_date or someone.birth_date,
        sex=patient.sex or someone.sex,
    )


def _working_hour(seed: int) -> str:
    from dicomfab.fabricate.seeds import derive

    second = 8 * 3600 + derive(seed, "study time") % (10 * 3600)
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def _literal(reference: str) -> str:
    """An accession number that cannot be taken for a pattern."""
    if not reference or any(c in reference for c in "*?\\"):
        raise InvalidInput(
            f"study: {reference!r} names no study",
            field="study",
            value=reference,
            cause="it is empty or has a wildcard in it",
            remedy="see what there is: dicomfab study list",
        )
    return reference
