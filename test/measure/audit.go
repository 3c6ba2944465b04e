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

// Request is one line of the audit log, about one request to the API server.
type Request struct {
	Verb       string
	RequestURI string
	User       struct{ Username string }
	// ObjectRef names the object. UID is that of the object in the request, if it has one.
	ObjectRef struct{ APIGroup, Resource, Subresource, UID string }
	// ResponseStatus has the HTTP status. It is 0 for a request without an answer.
	ResponseStatus struct{ Code int }
	// Annotations have, among others, the decision of the authorizer.
	Annotations map[string]string
}

// String returns the request as a readable line, like "patch /api/v1/…".
func (r Request) String() string { return r.Verb + " " + r.RequestURI }

// Query returns a query parameter of the request, or "" if there is none.
func (r Request) Query(parameter string) string {
	uri, err := url.Parse(r.RequestURI)
	if err != nil {
		return ""
	}
	return uri.Query().Get(parameter)
}

// Resource returns the resource of the request, like "pods", "statefulsets" or "leaderworkersets/status". For a request
// without a resource it returns the path, like "/version".
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

// reviews are resources that clients create to ask a question. Nothing is stored.
var reviews = []string{
	"tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews",
}

// IsWrite reports whether the request would change an object. Renewals of the leader's lease don't count, because they
// happen even at rest.
func (r Request) IsWrite() bool {
	return slices.Contains(writeVerbs, r.Verb) && !r.isLease() && !slices.Contains(reviews, r.ObjectRef.Resource)
}

// IsRead reports whether the request reads resources.
func (r Request) IsRead() bool {
	return r.ObjectRef.Resource != "" && !r.isLease() && !r.IsWrite()
}

func (r Request) isLease() bool { return r.ObjectRef.Resource == "leases" }

// Failed reports whether the API server refused the request, for example for a conflict, an invalid object or a missing
// object.
func (r Request) Failed() bool { return r.ResponseStatus.Code >= http.StatusBadRequest }

// Forbidden reports whether the user isn't allowed to make the request.
func (r Request) Forbidden() bool { return r.Annotations["authorization.k8s.io/decision"] == "forbid" }

// Mark is a position in an audit log, in bytes from its start.
type Mark int64

// End returns the end of the audit log at path. All requests that were answered before are in front of the mark.
func End(path string) (Mark, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return Mark(info.Size()), nil
}

// Requests returns the requests since the mark in the audit log at path. It includes all users whose names begin with
// the prefix. The result next is the mark for the next call.
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

// readRequests reads an audit log from the mark on. It leaves an incomplete last line, which the API server is still
// writing, to the next call.
func readRequests(log io.Reader, since Mark, userPrefix string) (requests []Request, next Mark, err error) {
	// Decoding is slow, and most lines are about other users.
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
