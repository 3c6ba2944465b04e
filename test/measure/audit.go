// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

// Request is one line of the audit log: something that was asked of the API server.
type Request struct {
	Verb       string
	RequestURI string
	User       struct{ Username string }
	ObjectRef  struct{ APIGroup, Resource, Subresource string }
	// ResponseStatus holds the HTTP status. It is 0 for a request that wasn't answered.
	ResponseStatus struct{ Code int }
	// Annotations say among other things how the request was decided on.
	Annotations map[string]string
}

// String is the request as a line that is good to read: "patch /api/v1/…".
func (r Request) String() string { return r.Verb + " " + r.RequestURI }

// Query is a parameter of the request, "" if there is none.
func (r Request) Query(parameter string) string {
	uri, err := url.Parse(r.RequestURI)
	if err != nil {
		return ""
	}
	return uri.Query().Get(parameter)
}

// Resource is what the request is about: "pods", "statefulsets", "leaderworkersets/status". It is the path of one that is about no
// resource, such as /version.
func (r Request) Resource() string {
	switch {
	case r.ObjectRef.Resource == "":
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	case r.ObjectRef.Subresource != "":
		return r.ObjectRef.Resource + "/" + r.ObjectRef.Subresource
	default:
		return r.ObjectRef.Resource
	}
}

// writeVerbs are the verbs of requests that change something, if they succeed.
var writeVerbs = []string{"create", "update", "patch", "apply", "delete", "deletecollection"}

// reviews are resources that are created in order to ask something.
var reviews = []string{"tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}

// IsWrite says whether the request is to change something. Renewing the lease of a leader isn't counted: it tells of being alive,
// not of work.
func (r Request) IsWrite() bool {
	return slices.Contains(writeVerbs, r.Verb) && !r.isLease() && !slices.Contains(reviews, r.ObjectRef.Resource)
}

// IsRead says whether the request is to learn something about resources.
func (r Request) IsRead() bool {
	return r.ObjectRef.Resource != "" && !r.isLease() && !r.IsWrite()
}

func (r Request) isLease() bool { return r.ObjectRef.Resource == "leases" }

// Failed says whether the API server refused the request: a conflict, an invalid object, something that isn't there.
func (r Request) Failed() bool { return r.ResponseStatus.Code >= http.StatusBadRequest }

// Forbidden says whether the user isn't allowed to make the request.
func (r Request) Forbidden() bool { return r.Annotations["authorization.k8s.io/decision"] == "forbid" }

// Mark is a place in an audit log, in bytes from its beginning.
type Mark int64

// End marks the end of the audit log at path. What was answered before is in front of it.
func End(path string) (Mark, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return Mark(info.Size()), nil
}

// Requests are the requests since the mark, in the audit log at path, of all users whose names begin with the prefix. next is where to go
// on.
func Requests(path string, since Mark, userPrefix string) (requests []Request, next Mark, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, since, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(int64(since), io.SeekStart); err != nil {
		return nil, since, err
	}
	return readRequests(file, since, userPrefix)
}

// readRequests reads an audit log from the mark on. What follows the last end of a line is being written, and left to the next time.
func readRequests(log io.Reader, since Mark, userPrefix string) (requests []Request, next Mark, err error) {
	// Decoding is slow, and most lines are about others.
	user := []byte(userPrefix)
	next = since
	for lines := bufio.NewReaderSize(log, 1<<20); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return requests, next, nil
		}
		if err != nil {
			return nil, since, fmt.Errorf("audit log: %w", err)
		}
		next += Mark(len(line))
		if !bytes.Contains(line, user) {
			continue
		}
		var read Request
		if err := json.Unmarshal(line, &read); err != nil {
			return nil, since, fmt.Errorf("audit log: %w", err)
		}
		if strings.HasPrefix(read.User.Username, userPrefix) {
			requests = append(requests, read)
		}
	}
}
