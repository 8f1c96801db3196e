// Package controllers is the controller process: its options, cache, leader election and start. Each controller has a room below:
// package spiderjob. Package queue is the work queue that they share.
package controllers
