//go:build !unix

package journal

import "os"

// lockFile only makes the file where there are no locks of this kind.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: in the operator's data directory
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
