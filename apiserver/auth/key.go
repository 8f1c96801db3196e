package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// An API key is "st_<key id>_<secret>_<checksum>": 16 lower-case letters and digits that identify the APIKey resource, 256
// random bits in hex, and the CRC-32 of everything before its underscore, in hex. The checksum detects typing errors, and lets
// secret scanners recognise keys; it protects nothing.
const (
	keyPrefix      = "st_"
	keyIDLength    = 16
	secretLength   = 64
	checksumLength = 8
	keyLength      = len(keyPrefix) + keyIDLength + 1 + secretLength + 1 + checksumLength
)

var errMalformedKey = errors.New("not an API key")

// Key is an API key in its parts.
type Key struct {
	ID     string
	secret string
}

// NewKey makes a random key.
func NewKey() Key {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	// Bytes from 252 on are discarded, so that all 36 characters are equally likely.
	const unbiased = 256 / len(alphabet) * len(alphabet)
	id := make([]byte, 0, keyIDLength)
	for len(id) < keyIDLength {
		var b [1]byte
		mustRead(b[:])
		if int(b[0]) < unbiased {
			id = append(id, alphabet[int(b[0])%len(alphabet)])
		}
	}
	var secret [secretLength / 2]byte
	mustRead(secret[:])
	return Key{ID: string(id), secret: hex.EncodeToString(secret[:])}
}

// mustRead fills b with random bytes. crypto/rand ends the process if it cannot provide them.
func mustRead(b []byte) { _, _ = rand.Read(b) }

// ParseKey parses a key. It refuses everything that does not have exactly the form of a key, including the checksum, without
// any look-up.
func ParseKey(text string) (Key, error) {
	if len(text) != keyLength || !strings.HasPrefix(text, keyPrefix) {
		return Key{}, errMalformedKey
	}
	body, sum := text[:keyLength-checksumLength-1], text[keyLength-checksumLength:]
	id, secret, ok := strings.Cut(body[len(keyPrefix):], "_")
	switch {
	case !ok || text[len(body)] != '_' || len(id) != keyIDLength || len(secret) != secretLength:
		return Key{}, errMalformedKey
	case !all(id, isLowerAlphanumeric) || !all(secret, isLowerHex) || sum != checksum(body):
		return Key{}, errMalformedKey
	}
	return Key{ID: id, secret: secret}, nil
}

// Reveal returns the key itself, for the one moment in which its owner gets it.
func (k Key) Reveal() string {
	body := keyPrefix + k.ID + "_" + k.secret
	return body + "_" + checksum(body)
}

// String hides the secret, so that a key can be logged by accident without harm.
func (k Key) String() string { return keyPrefix + k.ID + "_…" }

// GoString hides the secret from %#v too.
func (k Key) GoString() string { return k.String() }

// Hash returns what an APIKey resource of the given namespace stores of this key: the SHA-256, in hex, of namespace, key id and
// secret, each followed by a NUL, which none of them can contain.
func (k Key) Hash(namespace string) string {
	h := sha256.New()
	for _, part := range []string{namespace, k.ID, k.secret} {
		// Writing to a hash never fails.
		_, _ = h.Write(append([]byte(part), 0))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Matches reports, in a time that does not depend on the answer, whether the key is the one that an APIKey resource of the
// given namespace with the given hash was made for.
func (k Key) Matches(namespace, hash string) bool {
	return subtle.ConstantTimeCompare([]byte(k.Hash(namespace)), []byte(hash)) == 1
}

func checksum(body string) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) }

func all(s string, accept func(byte) bool) bool {
	for i := range len(s) {
		if !accept(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool             { return b >= '0' && b <= '9' }
func isLowerHex(b byte) bool          { return isDigit(b) || b >= 'a' && b <= 'f' }
func isLowerAlphanumeric(b byte) bool { return isDigit(b) || b >= 'a' && b <= 'z' }
