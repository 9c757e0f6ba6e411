// Package state keeps the keyed state of a topology on disk: one LevelDB database for each store and partition, in folders that
// one process has at a time.
//
// A database holds bytes. What a node reads and writes is a store over it, with a type and a cache (package keyed under internal/),
// which takes changes from a record into a transaction and from there into the database: values and changelog offset in one
// batch, so that they always agree. Batches are written every 5 s or 200,000 changes and not synced, for the changelog is what makes state durable;
// after a crash the database holds what some earlier Commit left, whole, and says at which offset to go on.
//
// Damage is told from other failures. A damaged database is set aside and restored from the changelog; a full disk, a
// folder without rights or one that another process holds is an error for the operator, and changes nothing.
//
// The package knows nothing of Kafka. Reading the changelog back is the engine's work.
//
// Programs use stores through package topology. What they need of this package are the errors that a run may end with or a node
// may meet ([CorruptError], [LockedError], [FormatError], [TopicChangedError], [UndecodableError]), and [Dump], which
// reads the database in a [StoreDir].
//
// # For Weir's own packages
//
// The engine and Weir's tests open databases themselves, [Open], [Options] and [Database], and put the types over them that a topology
// declares. The folder of an instance's state is theirs too: [LockDir], [TopologyDir], [InstanceID], [HasInstanceID], [ClusterID], [NoteCluster], [SetAside], [Aside]. These may
// change without a word.
package state
