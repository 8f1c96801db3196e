//go:build load && race

package apiserver

// raceDetector says that memory cannot be compared with what the product takes.
const raceDetector = true
