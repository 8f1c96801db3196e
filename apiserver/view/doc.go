// Package view is the in-memory view of SpiderJobs and Spiders from which the REST API serves reads.
//
// Jobs is an ordered index: a page costs the same among a hundred jobs and among a hundred thousand, with every combination of
// filters. It is also the store that a watch writes to, so nothing is held twice. It forgets nothing on a relist, which
// replaces its content in one step. It also takes this process's own writes, so that a caller that wrote something sees it at
// once.
package view
