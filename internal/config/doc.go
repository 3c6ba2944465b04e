// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package config reads the operator's configuration: the defaults, overridden by the file, overridden by the flags that
// are set.
//
//	defaults.go   the configuration without file and flags
//	decode.go     a file, decoded over the defaults
//	flags.go      the flags, and the fields that they override
//	validate.go   what a value may be
//	load.go       all of these in order, with every mistake in one error
//	options.go    the options of the manager and of the packages that it runs
//	features.go   the feature gates
//
// Only the function that reads a file, which callers pass to [Load], touches the outside.
package config
