// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	leaderworkersetv1 "github.com/leaderworkerset/lws-operator/api/leaderworkerset/v1"
	"github.com/leaderworkerset/lws-operator/cmd/kubectl-lws/internal/cluster"
)

// watched is what a command waits for changes of.
type watched struct {
	list    client.ObjectList
	options []client.ListOption
}

// ofSet returns what the state of a set depends on: the set, and its pods.
func ofSet(namespace, name string) []watched {
	in := client.InNamespace(namespace)
	byName := client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)}
	return []watched{
		{&leaderworkersetv1.LeaderWorkerSetList{}, []client.ListOption{in, byName}},
		{&corev1.PodList{}, []client.ListOption{in, client.MatchingLabels{leaderworkersetv1.SetNameLabelKey: name}}},
	}
}

const (
	// batch is the shortest time between two screens. Pods of a group change at the same time.
	batch = time.Second

	// rest is the longest time. Ages change without any event.
	rest = 30 * time.Second
)

// follow calls show at once and after each change, until show reports that it is done. A watch that the user may not
// open, or that ends, leaves the calls that time alone brings.
func (p *plugin) follow(
	ctx context.Context, server *cluster.Cluster, show func() (done bool, err error), what ...watched,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	for _, w := range what {
		go notify(ctx, server, w, changed)
	}
	for {
		if done, err := show(); done || err != nil {
			return err
		}
		if err := pause(ctx, batch, nil); err != nil {
			return err
		}
		if err := pause(ctx, rest, changed); err != nil {
			return err
		}
	}
}

// notify reports that there were events, until the context ends.
func notify(ctx context.Context, server *cluster.Cluster, what watched, changed chan<- struct{}) {
	for ctx.Err() == nil {
		events, err := server.Watch(ctx, what.list, what.options...)
		if err != nil {
			if pause(ctx, rest, nil) != nil {
				return
			}
			continue
		}
		for event := range events.ResultChan() {
			if event.Type == watch.Bookmark {
				continue
			}
			select {
			case changed <- struct{}{}:
			default: // A screen is due already.
			}
		}
		events.Stop()
	}
}

// pause waits for a time, or until something has changed.
func pause(ctx context.Context, most time.Duration, changed <-chan struct{}) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	case <-changed:
	}
	return nil
}

// clearScreen moves a terminal's cursor to the top left and erases what was there.
const clearScreen = "\x1b[H\x1b[2J"

// screens writes screens that follow each other: on a terminal in one place, elsewhere only those that differ.
type screens struct {
	out      io.Writer
	terminal bool
	last     []byte
}

func (s *screens) write(text []byte) error {
	if bytes.Equal(text, s.last) {
		return nil
	}
	separator := ""
	if s.last != nil {
		separator = "\n"
	}
	if s.terminal {
		separator = clearScreen
	}
	s.last = text
	_, err := fmt.Fprintf(s.out, "%s%s", separator, text)
	return err
}
