// Package view is the in-memory picture of SpiderJobs and Spiders that the facade's reads are served from.
//
// Jobs is an ordered index: a page of jobs costs the same among a hundred jobs and among a hundred thousand, under every
// combination of filters. It is itself the store that a watch writes to, so nothing is held twice. It forgets nothing on a
// relist, which replaces its content in one step, and it takes this process's own writes as well, so that whoever wrote
// sees what it wrote at once.
package view
