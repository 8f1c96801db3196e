// Package order says which run of a namespace may start next, and what the others wait for.
//
// Limits bound how many runs of the namespace, of a user, of a group of spiders and of a spider run at once. A run fits if all
// that apply to it have room. Among the users with a run that fits, the next is the one with the least running per weight; of
// several, the one whose run was created first, and then the one whose name is first. Within a user, runs come by their creation
// minus ten minutes for each point of priority, and then by name.
//
// It follows that
//
//   - a run that does not fit never holds up one that does,
//   - no place stays free while a run that fits waits,
//   - priority never crosses users: it only decides which of a user's runs is next,
//   - priority is a head start that is constant in time: a run is passed by its user's later runs for that long only,
//   - a user without a running run whose run fits waits for older runs only.
//
// What does not follow: a user who always has more running elsewhere can wait for a place of a group or of a shared spider for as
// long as others with less running have runs for it.
//
// The package has no clock, no lock and no goroutine, and keeps nothing of the past: what waits, what runs and the limits decide
// its answers, not the order in which it was told. So the controller and the REST API get the same ones, before and after a
// restart.
package order
