// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command release packs parts of a release into archives. The same files give the same bytes.
//
//	release plugin -version 1.2.3 -created 2026-01-31T00:00:00Z -programs bin/plugin -platforms 'linux-amd64 linux-arm64'
//	release pack -created 2026-01-31T00:00:00Z bundle dist/bundle.tar.gz
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

const usage = `usage: release plugin -version <version> -created <time> -programs <directory> -platforms <list> [flags]
       release pack -created <time> <directory> <archive>`

func main() {
	err := run(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run runs the command that the arguments name.
func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New(usage)
	}
	switch command := arguments[0]; command {
	case "plugin":
		return plugin(arguments[1:])
	case "pack":
		return pack(arguments[1:])
	default:
		return fmt.Errorf("unknown command %q\n%s", command, usage)
	}
}

// timeFlag adds the flag -created, which is the time of all files in archives.
func timeFlag(flags *flag.FlagSet) *time.Time {
	created := &time.Time{}
	flags.Func("created", "the time of all files, in the format of RFC 3339", func(value string) (err error) {
		*created, err = time.Parse(time.RFC3339, value)
		return err
	})
	return created
}
