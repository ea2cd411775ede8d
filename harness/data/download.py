"""Downloading and unpacking a published archive, so that half of one never looks complete."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

import pooch
from filelock import FileLock
from requests import RequestException

from harness.data.files import absent, locate
from harness.data.info import Archive, DatasetInfo
from harness.errors import HarnessError
from harness.progress import Bar


def fetch(info: DatasetInfo, directory: Path, progress: bool) -> Path:
    """Download the archive into ``directory`` and unpack it there; returns the folder that then holds the files.

    An archive that is there already and has the right digest is not downloaded again. Where several processes want the
    same data set, one gets it and the others wait. Raises :class:`HarnessError` where that fails.
    """
    assert info.archive is not None
    folder = directory / info.folder
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / f".{info.folder}.lock"):
            if complete := locate(info, directory):
                return complete
            if folder.is_dir() and any(folder.iterdir()):
                raise HarnessError(f"{folder} holds other files than those of {info.name}; move it away and run again")
            archive = _download(info, info.archive, directory, progress)
            _unpack(archive, info.archive, folder)
    except OSError as error:
        raise HarnessError(
            f"cannot store {info.name} in {directory}: {error.strerror or error}; make room or choose another folder "
            "with --data-dir or HARNESS_DATA_DIR"
        ) from None
    return folder


def _download(info: DatasetInfo, archive: Archive, directory: Path, progress: bool) -> Path:
    """The archive in ``directory``, whose digest is right."""
    bar = Bar(info.name, unit="bytes", shown=progress)
    try:
        return Path(
            pooch.retrieve(
                archive.url,
                known_hash=f"md5:{archive.md5}",
                fname=archive.url.rpartition("/")[2],
                path=directory,
                downloader=pooch.HTTPDownloader(progressbar=bar, chunk_size=2**16, timeout=30),
            )
        )
    except RequestException as error:
        answer = f"HTTP {error.response.status_code}" if error.response is not None else type(error).__name__
        raise absent(info, directory, f" and cannot be downloaded ({answer})") from None
    except ValueError:
        raise HarnessError(
            f"what {archive.url} sent is not {info.name} (its MD5 is not {archive.md5}) and was deleted; run again, or "
            f"see {info.page}"
        ) from None
    finally:
        bar.close()


def _unpack(archive: Path, content: Archive, folder: Path) -> None:
    """Write the wanted members, and nothing else, into a folder that appears when all of them are there.

    ``pooch.Untar`` is not used: it unpacks into the final folder and takes half a file for a whole one after an
    interruption, unpacks every member whose name begins like a wanted one, and before Python 3.12 follows links.
    """
    wanted = {f"{folder.name}/{name}": name for name in content.members}
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        complete = Path(temporary, folder.name)
        complete.mkdir()
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    if member.isreg() and (name := wanted.pop(member.name, None)):
                        source = tar.extractfile(member)
                        assert source is not None
                        with source, open(complete / name, "wb") as target:
                            shutil.copyfileobj(source, target, 2**20)
                            target.flush()
                            os.fsync(target.fileno())
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise HarnessError(f"{archive} cannot be unpacked ({error}); delete it and run again") from None
        if wanted:
            raise HarnessError(f"{archive} lacks {', '.join(wanted)}; delete it and run again")
        os.replace(complete, folder)
