// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// updated is a film of a rolling update of one group of two.
const updated = `    0.0s  user                     creates LeaderWorkerSet a: 1 group of 2, maxUnavailable 1
    0.0s  statefulset controller   creates pod a-0
    0.0s  operator, group a-0      creates StatefulSet a-0 (replicas 1, revision 1): the workers are missing
    0.0s  statefulset controller   creates pod a-0-1
    1.0s  kubelet                  has ready pod a-0
    2.0s  kubelet                  has ready pod a-0-1
    3.0s  user                     changes LeaderWorkerSet a: image:2
    3.0s  operator, set a          changes StatefulSet a (partition 0 to 1, revision 1 to 2): the revision is new
    4.0s  operator, set a          deletes pod a-0: 1 of 1 groups are ready, 1 may be replaced
    4.0s  operator, group a-0      deletes pod a-0-1: the leader pod is terminating
    5.0s  kubelet                  has stopped pod a-0, a-0-1
    6.1s  statefulset controller   creates pod a-0
    6.1s  operator, group a-0      creates StatefulSet a-0 (replicas 1, revision 2): the workers are missing
    6.1s  statefulset controller   creates pod a-0-1
    7.0s  kubelet                  has ready pod a-0, a-0-1
         metrics                  rollouts Complete: 1
`

func TestPlay(t *testing.T) {
	told, err := play(updated)
	if err != nil {
		t.Fatal(err)
	}
	if told.replicas != 1 || told.size != 2 || told.budget != 0 {
		t.Errorf("the terms are %+v", told.terms)
	}
	want := []state{
		{unready, 1}, {unready, 1}, {ready, 1}, {ready, 1}, {terminating, 1}, {missing, 0}, {unready, 2}, {ready, 2},
	}
	for second, of := range want {
		if got := told.seconds[second][0]; got != of {
			t.Errorf("second %d: the group is %+v, want %+v", second, got, of)
		}
	}
	var causes []string
	for _, of := range told.causes {
		causes = append(causes, of.text)
	}
	got := strings.Join(causes, "\n")
	if want := `user creates the set: 1 group of 2, maxUnavailable 1
user changes the set: image:2
operator replaces group 0: 1 of 1 groups are ready, 1 may be replaced`; got != want {
		t.Errorf("the causes are\n%s\nwant\n%s", got, want)
	}
}

func TestPlayMistakes(t *testing.T) {
	for name, film := range map[string]string{
		"empty":            "",
		"no event":         "something else\n",
		"no set":           "    0.0s  user                     limits each node to 4 pods\n",
		"an event as data": "    0.0s  user\n",
	} {
		if _, err := play(film); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestPictures checks that pictures of all films that the docs show are XML.
func TestPictures(t *testing.T) {
	folder := t.TempDir()
	if err := run([]string{"../../internal/controller/leaderworkerset/testdata/films", folder}); err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		text, err := os.ReadFile(filepath.Join(folder, p.film+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		decoder := xml.NewDecoder(strings.NewReader(string(text)))
		for err == nil {
			_, err = decoder.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", p.film, err)
		}
	}
}

// TestQuietStretches checks that a picture leaves out long stretches in which nothing changes.
func TestQuietStretches(t *testing.T) {
	c := &canvas{story: story{seconds: make([][]state, 100), causes: []cause{{second: 50, text: "something"}}}}
	for second := range c.seconds {
		c.seconds[second] = []state{{ready, 1}}
	}
	c.layOut()
	gaps := 0
	for _, of := range c.columns {
		if of.isGap {
			gaps++
		}
	}
	if gaps != 2 {
		t.Errorf("%d gaps, want one before and one after the cause", gaps)
	}
}
