// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"io/fs"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// EndOfFile returns a function that returns when the certificate in the file tls.crt of a directory ends. ok is false
// while there is none.
func EndOfFile(directory string) func() (end time.Time, ok bool) {
	return func() (end time.Time, ok bool) {
		content, err := fs.ReadFile(os.DirFS(directory), corev1.TLSCertKey)
		found := parseBundle(content)
		if err != nil || len(found) == 0 {
			return time.Time{}, false
		}
		return found[0].NotAfter, true // The server's own certificate comes first.
	}
}
