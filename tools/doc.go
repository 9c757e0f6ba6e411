// Package tools is a module of its own for what checks Weir's code, so that who imports Weir gets none of it.
package tools
