"""`python -m pgbackup`: list the backups on the volume, and check every file of every one."""

import sys

from . import volume


def main() -> int:
    bad = 0
    for backup in volume.whole_backups():
        manifest = volume.read_manifest(backup)
        rows = sum(sum(one["rows"].values()) for one in manifest["databases"])
        print(f"{backup}  Postgres {manifest['server_version']}  {rows} rows")
        for one in manifest["databases"]:
            path = volume.folder(backup) / one["file"]
            whole = path.exists() and volume.sha256(path) == one["sha256"]
            bad += not whole
            print(f"  {'ok ' if whole else 'BAD'}  {one['database']}  {one['bytes']} bytes")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
