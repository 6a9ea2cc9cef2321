// Package journal is the append-only, hash-chained event log of meetings, one
// chain per meeting.
//
// The path of an entry. Writer.Append checks its drafts and queues them. The
// committer, one goroutine for the database, takes what has gathered from all
// meetings, looks in one transaction whether each writer is still the newest of
// its meeting and whether a command is there already, gives out sequence numbers
// and hashes, inserts and commits. Then it signs the new heads into a file outside
// the store and syncs that. Only then does Append return. What it returned is on
// disk, in the store and under a signature.
//
// # Writers
//
// A meeting has one writer, by lease. Open takes the lease when nobody holds it,
// it has expired, or its holder is the same owner, and gives it a fencing number,
// the fence, one higher than any before. The fence is compared inside the
// transaction of each append, so a writer that slept through its successor's Open
// writes nothing. The clock of the lease is the database's, so that processes
// agree; a wrong clock can cost a takeover and never an entry.
//
// # The encoding
//
// The hash of an entry is SHA-256 over these bytes, numbers big-endian:
//
//	"diemcau.entry.1\n"          16 bytes
//	meeting                      uint32 length, bytes
//	seq                          uint64, from 1 without holes
//	fence                        uint64
//	at                           int64, Unix milliseconds
//	command                      uint32 length, bytes; empty: the server's own
//	author                       uint32 length, bytes
//	body                         uint32 length, bytes of canonical JSON
//	prev                         32 bytes: hash of entry seq-1, zeros for seq 1
//
// Every field has a fixed length or its length before it, so two different
// entries never have the same bytes. Canonical JSON is what Canonical makes: no
// space between tokens, members sorted by name, numbers as they were written.
//
// # Heads
//
// Three files in the data directory. journal.key is the Ed25519 seed, mode 0600.
// journal.pub is the public key, for those who verify. (journal.lock, empty, keeps
// a second process out.) journal.heads has one line for each group commit, a JSON object
//
//	{"n":7,"heads":[{"meeting":"…","seq":41,"hash":"…hex…"}],"sig":"…base64…"}
//
// where n counts lines without holes and sig signs "diemcau.heads.1\n", n as
// uint64, the number of heads as uint32, and each head as its meeting (uint32
// length, bytes), seq (uint64) and hash (32 bytes). A last line that a crash has
// torn is cut off when the file is opened; the entries it would have signed were
// not acknowledged. When the file has grown, it is replaced by one line with the
// newest head of each meeting.
//
// # What Verify finds, and what it cannot
//
// Somebody who can write to the database and nothing else — its
// administrator, a stolen password, an injected statement — can change,
// remove, insert, reorder or rewrite entries, and Verify finds each, as
// soon as a head covers the entry. He can add entries behind the last head that
// look like what a crash between commit and signature leaves; Verify
// counts such entries as unsigned.
//
// Somebody who reads the data directory, too, has the key and can forge heads for
// a chain of his own. Somebody who writes to it can put an old heads file back
// together with an old database. Nothing kept on one machine can show that. Against
// it, heads must leave the machine: print the last number and hash into the
// minutes, copy journal.heads and journal.pub to another office after each
// meeting. Each copy binds everything up to its last line.
//
// Several processes on one PostgreSQL have a heads file each, of what each wrote;
// a store that is ahead of a heads file is therefore no error, and one that is
// behind is. After a restore from a backup older than the heads, Open refuses
// the meetings concerned until the operator puts journal.heads aside; it is then
// the only trace of what the backup lacks, and worth keeping.
package journal
