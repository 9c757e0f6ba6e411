// Package registry is a client of schema registries that speak Confluent's REST API: Weir's own (`weir registry run`), Apicurio's at
// its path /apis/ccompat/v7, Confluent's, Karapace's.
//
// A [Client] is made with [New] and asks nothing before it is used. [Client.ByID] and [Client.ByGUID] find what a record's bytes name:
// each schema is fetched once, also when many ask for it at once, and is kept together with all that it refers to. What may change,
// such as the latest version of a subject, is asked for each time.
//
// Every error is an [*Error] of one of four kinds, which errors.Is tells: [ErrAway], the registry cannot be asked now, and nothing is
// known; [ErrNotFound], it says that there is no such thing; [ErrIncompatible], a new version would break readers; [ErrRefused], it
// does not do what was asked for. Whatever is not an answer of a registry, as the page of a proxy, is ErrAway.
//
// The package contains no server.
package registry
