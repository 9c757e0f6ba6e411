// Package keyed is keyed state with its type: what nodes read and write, in front of a database.
//
// A [Store] has a cache of values, the changes of the record in work, which can be taken back, and those of the transaction, which
// go to the changelog ([Store.Drain]) and then into the [Database] ([Store.Commit]). [Over] puts a type and a codec over a database;
// whoever declares a store has these, and needs no database for it. To the engine a store is an [Any].
package keyed
