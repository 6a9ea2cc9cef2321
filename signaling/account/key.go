package account

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"diemcau/signaling/store"
)

const keyLength = 32

var (
	// ErrOtherKey says that the database was used with another key file.
	ErrOtherKey = errors.New("account: the key file is not the one this database was used with")
	errSealed   = errors.New("account: a sealed value does not open")
)

// Key seals secrets that the store keeps, signs cookies and keys the hashes of
// short codes, so that a copy of the database alone opens and proves nothing.
type Key struct {
	aead   cipher.AEAD
	secret [keyLength]byte // of mac
}

// LoadKey reads the key of a data directory, making it (mode 0600) if there is
// none. A file that others may read is an error: it is a leaked key.
func LoadKey(path string) (*Key, error) {
	secret, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createKey(path); err != nil {
			return nil, fmt.Errorf("account: make the key: %w", err)
		}
		secret, err = readKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("account: read the key: %w", err)
	}
	return NewKey(secret)
}

func readKey(path string) ([]byte, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others: its mode must be 0600", path)
	}
	if info.Size() != keyLength {
		return nil, fmt.Errorf("%s has %d bytes instead of %d", path, info.Size(), keyLength)
	}
	return os.ReadFile(filepath.Clean(path))
}

// createKey lets one of several processes win: each writes a file of its own,
// and the first to link it to path made the key.
func createKey(path string) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	secret := make([]byte, keyLength)
	_, _ = rand.Read(secret) // never fails
	_, err = file.Write(secret)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// NewKey makes a Key of 32 secret bytes.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != keyLength {
		return nil, fmt.Errorf("account: a key has %d bytes, not %d", keyLength, len(secret))
	}
	sealing, err := hkdf.Key(sha256.New, secret, nil, "diemcau account seal", keyLength)
	if err != nil {
		return nil, err
	}
	signing, err := hkdf.Key(sha256.New, secret, nil, "diemcau account mac", keyLength)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	k := &Key{aead: aead}
	copy(k.secret[:], signing)
	return k, nil
}

// seal encrypts plain; it opens for the same purpose and owner only, so that a
// value moved to another row is found.
func (k *Key) seal(purpose, owner string, plain []byte) []byte {
	return k.aead.Seal(nil, nil, plain, []byte(purpose+"\x00"+owner))
}

func (k *Key) open(purpose, owner string, sealed []byte) ([]byte, error) {
	plain, err := k.aead.Open(nil, nil, sealed, []byte(purpose+"\x00"+owner))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", errSealed, purpose)
	}
	return plain, nil
}

// mac is HMAC-SHA-256 of value for purpose, which holds no zero byte.
func (k *Key) mac(purpose, value string) []byte {
	h := hmac.New(sha256.New, k.secret[:])
	h.Write([]byte(purpose + "\x00" + value))
	return h.Sum(nil)
}

// checkKey finds a key file that was lost and made anew, before people find that
// their codes are no longer accepted.
func (s *Service) checkKey(ctx context.Context) error {
	const purpose, mark = "key check", "diemcau"
	var sealed []byte
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		sealed = nil
		err := tx.QueryRowContext(ctx, `SELECT mark FROM account_key WHERE id = 1`).Scan(&sealed)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO account_key (id, mark) VALUES (1, $1)`,
			s.key.seal(purpose, "", []byte(mark)))
		return err
	})
	if store.IsUnique(err) { // another process was first
		err = s.db.QueryRow(ctx, `SELECT mark FROM account_key WHERE id = 1`).Scan(&sealed)
	}
	if err != nil {
		return fmt.Errorf("account: %w", err)
	}
	if sealed == nil {
		return nil
	}
	if _, err := s.key.open(purpose, "", sealed); err != nil {
		return ErrOtherKey
	}
	return nil
}
