// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// auditLog is a shortened audit log. It has two requests of the controller, two of another user, one of which is about
// the controller, and an incomplete line.
const auditLog = `{"verb":"patch","user":{"username":"controller"},` +
	`"requestURI":"/apis/apps/v1/namespaces/a/statefulsets/b?fieldManager=c",` +
	`"objectRef":{"resource":"statefulsets","apiGroup":"apps"},"responseStatus":{"code":200}}
{"verb":"list","user":{"username":"somebody"},"requestURI":"/api/v1/pods",` +
	`"objectRef":{"resource":"pods"},"responseStatus":{"code":200}}
{"verb":"get","user":{"username":"somebody"},"requestURI":"/api/v1/users/controller","objectRef":{"resource":"users"}}
{"verb":"update","user":{"username":"controller-2"},"requestURI":"/x",` +
	`"objectRef":{"resource":"pods","subresource":"status"},"responseStatus":{"code":409},` +
	`"annotations":{"authorization.k8s.io/decision":"forbid"}}
{"verb":"get","user":{"username":"contr`

func TestRequests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(auditLog), 0o600); err != nil {
		t.Fatal(err)
	}
	all, next, err := Requests(path, 0, "controller")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, request := range all {
		got = append(got, request.String()+" "+request.Resource())
	}
	want := []string{
		"patch /apis/apps/v1/namespaces/a/statefulsets/b?fieldManager=c statefulsets", "update /x pods/status",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if all[0].Failed() || !all[1].Failed() {
		t.Error("want the status 409 to be a failure, and not the status 200")
	}
	if all[0].Forbidden() || !all[1].Forbidden() {
		t.Error("want the second request to be forbidden, and not the first")
	}
	if manager := all[0].Query("fieldManager"); manager != "c" {
		t.Errorf("the field manager is %q", manager)
	}

	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`oller"},"requestURI":"/version"}` + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	rest, last, err := Requests(path, next, "controller")
	if err != nil {
		t.Fatal(err)
	}
	if len(rest) != 1 || rest[0].Resource() != "/version" {
		t.Errorf("after the mark: %v", rest)
	}
	if end, err := End(path); err != nil || end != last {
		t.Errorf("the end is %d, %v; read up to %d", end, err, last)
	}
}

func TestRequestKinds(t *testing.T) {
	for _, test := range []struct {
		verb, resource string
		write, read    bool
	}{
		{"create", "pods", true, false},
		{"deletecollection", "pods", true, false},
		{"watch", "pods", false, true},
		{"create", "subjectaccessreviews", false, true},
		{"update", "leases", false, false},
		{"get", "", false, false},
	} {
		request := Request{Verb: test.verb}
		request.ObjectRef.Resource = test.resource
		if request.IsWrite() != test.write || request.IsRead() != test.read {
			t.Errorf("%s %s: write %t, read %t", test.verb, test.resource, request.IsWrite(), request.IsRead())
		}
	}
}

func TestSum(t *testing.T) {
	const metrics = `# TYPE passes_total counter
passes_total{controller="a"} 3
passes_total{controller="b"} 4
# TYPE other gauge
other 1
`
	for name, want := range map[string]float64{"passes_total": 7, "other": 1, "absent": 0} {
		if got, err := Sum(metrics, name); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	if _, err := Sum("no metrics", "other"); err == nil {
		t.Error("no error for a text without metrics")
	}
}

func TestUsage(t *testing.T) {
	before, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Anonymous < 1<<20 || before.Resident < before.Anonymous || before.Peak < before.Resident {
		t.Errorf("this process has %d resident bytes, %d of them anonymous, and a peak of %d",
			before.Resident, before.Anonymous, before.Peak)
	}
	deadline := time.Now().Add(time.Minute)
	after := before
	for after.CPU == before.CPU && time.Now().Before(deadline) {
		if after, err = UsageOf(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	if after.CPU <= before.CPU {
		t.Errorf("a busy process has a CPU time of %s, and had %s before", after.CPU, before.CPU)
	}
}

func TestResetPeak(t *testing.T) {
	const size = 64 << 20
	block := make([]byte, size)
	for i := 0; i < size; i += os.Getpagesize() {
		block[i] = 1 // The kernel allocates memory at the first write.
	}
	high, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if high.Peak < size {
		t.Errorf("with %d bytes allocated, the peak is %d", size, high.Peak)
	}
	runtime.KeepAlive(block)
	debug.FreeOSMemory()
	if err := ResetPeak(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	low, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if low.Peak >= high.Peak {
		t.Errorf("the peak was %d; after freed memory and a reset, it is %d", high.Peak, low.Peak)
	}
}
