// Package podlog reads the logs of spiders' Pods within a budget, and keeps in memory what it learned of each.
//
// A Pod's log is read in one of three modes, and a Pod's mode only ever rises: Sample while it runs, Follow when it is being
// deleted, Final when its container has terminated. The content of a log is untrusted, and so is its amount: every read is
// bounded in bytes and in time, and so is the number of concurrent reads.
package podlog
