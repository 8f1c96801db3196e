package view

import (
	"encoding/base64"
	"encoding/binary"
)

// position is how far a reader of changes knows a user's jobs: all that the watch has shown up to a resource version, and which
// jobs there were then. Resource versions are those of Kubernetes, and the checksum follows from the jobs alone, so that a
// position means the same on every replica, however young that is.
type position struct{ resourceVersion, sum uint64 }

// positionVersion begins every position as text: the rules by which it is read.
const positionVersion = 1

// String returns the position as text that says nothing to its reader; empty text where the resource version is not known.
func (p position) String() string {
	if p.resourceVersion == 0 {
		return ""
	}
	text := [17]byte{positionVersion}
	binary.BigEndian.PutUint64(text[1:], p.resourceVersion)
	binary.BigEndian.PutUint64(text[9:], p.sum)
	return base64.RawURLEncoding.EncodeToString(text[:])
}

// parsePosition reads what String has made. What it cannot read is no position of this version.
func parsePosition(text string) (p position, ok bool) {
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(decoded) != 17 || decoded[0] != positionVersion {
		return p, false
	}
	p = position{binary.BigEndian.Uint64(decoded[1:]), binary.BigEndian.Uint64(decoded[9:])}
	return p, p.String() == text // Decoding passes over line ends.
}

// checksum is a job's part in the checksum of a user's jobs, which is the sum of all parts. It covers what of a job can change
// without a new resource version: that it is there at all, and what it shows of its Spider.
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
	// A sum of parts needs each bit of a part to depend on all of the job. This is the finalizer of MurmurHash3.
	sum = (sum ^ sum>>33) * 0xff51afd7ed558ccd
	sum = (sum ^ sum>>33) * 0xc4ceb9fe1a85ec53
	return sum ^ sum>>33
}
