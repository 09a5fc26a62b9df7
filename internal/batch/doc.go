// Package batch makes the calls that one task carries, and keeps in the blob
// store what they came to, so that who takes a batch up goes on where it was
// left.
//
//	batches/<id>/calls      what is to be called, when the message cannot hold it
//	batches/<id>/1, 2, 3 …  the journal: outcomes in the order in which they came
//	batches/<id>/r-…        the results: all outcomes, in the order of the calls
//
// A call is done when its outcome is in the journal. Until then it has a slot of
// the worker, so that at most as many calls as there are slots are made again
// after a crash. Outcomes that come while one part of the journal is written go
// into the next part together.
//
// The parts of the journal are found by counting, because a store cannot list:
// who takes up a batch reads them until there is none. Whoever is about to write
// a part looks first whether it is there; then another worker has the batch too,
// for a while, and what it did is learned. Both may still write one part in the
// same moment: the calls of the part that is lost are then made again, with the
// same Idempotency-Key, as when the worker had died.
//
// Nothing of a batch is deleted, it expires: a task that comes late must find
// what was done.
package batch
