"""A process that stores for ever, to be killed: prints each SOP instance UID when its commit has returned."""

from __future__ import annotations

import itertools
import sys
import threading
from pathlib import Path

from pydicom.dataset import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import Duplicate
from dicomfab.model.values import Environment
from tests.unit.archive.builders import dataset, encode, identity_of, store

LARGE_BYTES = 100_000  # too much to be kept in the index until it is settled


def main(root: str, run: str, what: str) -> None:
    archive = Archive(Path(root), on_duplicate=Duplicate.REPLACE)
    lock = threading.Lock()

    def work(thread: int) -> None:
        for number in itertools.count():
            if what == "batch":
                uids = store_batch(archive, f"1.{run}.{thread}.{number}")
            elif what == "replace":
                store(archive, dataset(f"1.{run}.{thread}", instance=f"1.{run}.{thread}", StudyDescription=str(number)))
                uids = [f"1.{run}.{thread}"]
            else:
                uids = [f"1.{run}.{thread}.{number}"]
                size = LARGE_BYTES if what == "large" else 0
                store_in_one(archive, dataset(f"1.{run}.{thread}", instance=uids[0], PixelData=bytes(size)))
            with lock:
                sys.stdout.write("".join(f"{uid}\n" for uid in uids))
                sys.stdout.flush()

    for thread in range(2):
        threading.Thread(target=work, args=(thread,)).start()


def store_in_one(archive: Archive, data: Dataset) -> None:
    data["PixelData"].VR = "OW"
    incoming = archive.begin(identity_of(data))
    incoming.write(encode(data))
    incoming.commit(environment=Environment.TEST)


def store_batch(archive: Archive, stem: str) -> list[str]:
    uids = [f"{stem}.{number}" for number in range(20)]
    with archive.batch() as batch:
        for uid in uids:
            data = dataset(stem, instance=uid)
            incoming = batch.begin(identity_of(data))
            incoming.write(encode(data))
            incoming.commit(environment=Environment.TEST)
    return uids


if __name__ == "__main__":
    main(*sys.argv[1:])
