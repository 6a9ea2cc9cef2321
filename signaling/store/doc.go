// Package store is the database of meetings: SQLite in one file, or PostgreSQL.
//
// What both promise. A transaction that Write reports as done is on disk:
// SQLite runs in WAL mode with synchronous=FULL, PostgreSQL with
// synchronous_commit=on and is refused when its fsync is off. Queries are
// written once, with $1, $2 ... in both dialects; where the dialects differ, the
// caller asks Dialect.
//
// Reading and writing are apart. Query and QueryRow use a pool that cannot
// write, and Write runs one transaction at a time on SQLite, so that no writer
// meets a busy database, and serializable transactions on PostgreSQL, so that the
// same function means the same on both. A statement that fails inside Write
// leaves the transaction usable on SQLite and not on PostgreSQL: write ON CONFLICT
// where a conflict is expected, or end the function with the error.
//
// The schema is made by forward migrations, migrations/sqlite and
// migrations/postgres, which must create the same tables and columns.
//
// # Backups
//
// A backup of SQLite is a SQLite file made by VACUUM INTO: a consistent picture
// while the server goes on, compact, and usable with any SQLite tool. A backup of
// PostgreSQL is a ZIP file of our own with one COPY text per table, read in one
// repeatable-read snapshot. It is not pg_dump, because that would need the
// PostgreSQL client programs, in a version not older than the server's, on
// each machine that runs diemcau. Either file is written beside its final
// name, synced and renamed: a file with the final name is whole. Restore takes
// it back into an empty database of the same dialect and migrates forward.
package store
