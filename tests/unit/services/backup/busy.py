"""A process that works on a home until it is ended, and prints what it has done when it is done."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from dicomfab.app.build import Application
from dicomfab.archive.archive import Archive
from dicomfab.archive.records import Duplicate
from dicomfab.model.values import Environment
from dicomfab.services.jobs.fabricate import fabricate_job
from tests.unit.archive.builders import dataset, encode, identity_of, store
from tests.unit.services.backup.world import ADMIN, installation
from tests.unit.services.job_office import cards


def say(what: str, uid: str) -> None:
    sys.stdout.write(f"{what} {uid}\n")
    sys.stdout.flush()


def storing(archive: Archive, run: str) -> None:
    """Instances that stay."""
    for number in itertools.count():
        uid = f"1.2.{run}.{number}"
        store(archive, dataset(f"1.2.{run}", instance=uid))
        say("stored", uid)


def deleting(archive: Archive, run: str) -> None:
    """Studies that are soon gone, and come back under the same UIDs with other content."""
    for number in itertools.count():
        uid = f"1.2.{run}.{number % 5}"
        for one in range(4):
            store(archive, dataset(uid, instance=f"{uid}.{one}", StudyDescription=f"Time {number}"))
        archive.delete_study(uid)
        say("deleted", uid)


def rewriting(archive: Archive, run: str) -> None:
    """Studies of which all files are replaced by others, of another length, in one transaction."""
    uid = f"1.2.{run}"
    for number in itertools.count():
        words = {"InstanceNumber": number, "ImageComments": "x" * (number % 9 * 2)}
        made = [dataset(uid, instance=f"{uid}.{n}", **words) for n in range(6)]
        with archive.rewriting(uid) if number else archive.batch() as batch:
            for one in made:
                incoming = batch.begin(identity_of(one))
                incoming.write(encode(one))
                incoming.commit(environment=Environment.TEST)
        if not number:
            for one in made:
                say("stored", one.SOPInstanceUID)


def working(application: Application, run: str) -> None:
    """Jobs that make a study each."""
    for number in itertools.count():
        resolved = application.studies.resolve_recipe(ADMIN, cards(1, seed=int(run) * 1000 + number))
        new = fabricate_job(ADMIN, [resolved], store_id=application.store_id)
        job_id = application._ledger.submit(*new)
        application.worker.run_one(job_id)
        say("made", resolved.study_instance_uid)


def main(home: str, what: str, run: str) -> None:
    if what == "working":
        with installation(Path(home)) as application:
            working(application, run)
    else:
        archive = Archive(Path(home) / "studies", on_duplicate=Duplicate.REPLACE)
        {"storing": storing, "deleting": deleting, "rewriting": rewriting}[what](archive, run)


if __name__ == "__main__":
    main(*sys.argv[1:])
