package view

import (
	"encoding/base64"
	"encoding/binary"
)

// position is how far a reader of changes knows a user's jobs: all that the watch has shown up to a resource version, and which
// jobs existed then. Resource versions are those of Kubernetes, and the checksum follows from the jobs alone, so a position
// means the same on every replica, whatever its age.
type position struct{ resourceVersion, sum uint64 }

// positionVersion begins every position as text: its format version.
const positionVersion = 1

// String returns the position as opaque text; empty if the resource version is unknown.
func (p position) String() string {
	if p.resourceVersion == 0 {
		return ""
	}
	text := [17]byte{positionVersion}
	binary.BigEndian.PutUint64(text[1:], p.resourceVersion)
	binary.BigEndian.PutUint64(text[9:], p.sum)
	return base64.RawURLEncoding.EncodeToString(text[:])
}

// parsePosition parses what String has made. Anything else is not a position of this version.
func parsePosition(text string) (p position, ok bool) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(decoded) != 17 || decoded[0] != positionVersion {
		return p, false
	}
	p = position{binary.BigEndian.Uint64(decoded[1:]), binary.BigEndian.Uint64(decoded[9:])}
	return p, p.String() == text // Decoding ignores line ends.
}

// checksum is a job's part in the checksum of a user's jobs, which is the sum of all parts. It covers what can change of a job
// without a new resource version: its existence, and what it shows of its Spider.
func checksum(job *Job) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	sum := uint64(offset)
	for _, b := range job.ID {
		sum = (sum ^ uint64(b)) * prime
	}
	for _, text := range [...]string{job.SpiderName, job.RepoPath} {
		for i := range len(text) {
			sum = (sum ^ uint64(text[i])) * prime
		}
		sum *= prime // As for a zero byte, which neither contains.
	}
	// In a sum of parts, each bit of a part has to depend on the whole job. This is the finalizer of MurmurHash3.
	sum = (sum ^ sum>>33) * 0xff51afd7ed558ccd
	sum = (sum ^ sum>>33) * 0xc4ceb9fe1a85ec53
	return sum ^ sum>>33
}
