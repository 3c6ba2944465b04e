// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/leaderworkerset/lws-operator/api/config/v1alpha1"
)

// oneDash matches the beginning of a flag with one dash.
var oneDash = regexp.MustCompile(`^-([a-z]{2})`)

// Settings are what defaults, file and flags say.
type Settings struct {
	// OperatorConfiguration is the effective configuration.
	v1alpha1.OperatorConfiguration

	// Source is the path of the file. It is empty if there is none.
	Source string

	// Version says that the operator only has to print its version. Then nothing else is set.
	Version bool

	// Logging are the options of the log.
	Logging zap.Options
}

// Load returns the settings by the command line and the file that it names. The function reads a file. The error is
// pflag.ErrHelp if the command line asks for help, which Load writes to help. If the configuration has mistakes, the
// error lists all of them, each on a line of its own. byOLM says that OLM installed the operator.
func Load(args []string, byOLM bool, read func(path string) ([]byte, error), help io.Writer) (*Settings, error) {
	configuration := Default()
	f := newFlags(&configuration, help)
	// Flags are parsed twice: for the path of the file, and to override its fields.
	if err := f.parse(args); err != nil {
		return nil, err
	}
	if f.version {
		return &Settings{Version: true}, nil
	}
	source, mistakes, err := f.decodeFile(read)
	if err != nil {
		return nil, err
	}
	if err := f.parse(args); err != nil {
		return nil, err
	}
	f.chooseCertificate()
	setCertificateDefaults(&configuration.Webhook.Certificate)
	mistakes = append(mistakes, validate(&configuration)...)
	if byOLM {
		mistakes = append(mistakes, validateForOLM(&configuration)...)
	}
	if len(mistakes) > 0 {
		return nil, refuse(source, mistakes)
	}
	return &Settings{OperatorConfiguration: configuration, Source: source, Logging: f.logging}, nil
}

// parse parses a command line. The operator takes no arguments besides flags. No flag has a name of one letter, so a
// dash before a longer name stands for two: earlier versions took both.
func (f *flags) parse(args []string) error {
	twoDashes := make([]string, len(args))
	for i, arg := range args {
		twoDashes[i] = oneDash.ReplaceAllString(arg, "--$1")
	}
	if err := f.all.Parse(twoDashes); err != nil {
		return err
	}
	if rest := f.all.Args(); len(rest) > 0 {
		return fmt.Errorf("unknown arguments: %q", rest)
	}
	return nil
}

// decodeFile writes the fields of the file over those of the configuration. It returns the path of the file, or nothing
// if there is none.
func (f *flags) decodeFile(read func(path string) ([]byte, error)) (string, field.ErrorList, error) {
	data, err := read(f.file)
	if errors.Is(err, fs.ErrNotExist) && f.file == defaultFile {
		return "", nil, nil
	} else if err != nil {
		return "", nil, fmt.Errorf("read the configuration: %w", err)
	}
	// Defaults don't say what kind of file it is.
	f.configuration.APIVersion, f.configuration.Kind = "", ""
	mistakes, err := decode(data, f.configuration)
	if err != nil {
		return "", nil, fmt.Errorf("the configuration %s: %w", f.file, err)
	}
	return f.file, mistakes, nil
}

// refuse returns an error that lists the mistakes of a configuration, sorted by their paths.
func refuse(source string, mistakes field.ErrorList) error {
	slices.SortStableFunc(mistakes, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	var text strings.Builder
	text.WriteString("the configuration")
	if source != "" {
		text.WriteString(" " + source)
	}
	if count := len(mistakes); count == 1 {
		text.WriteString(" has a mistake:")
	} else {
		fmt.Fprintf(&text, " has %d mistakes:", count)
	}
	for _, mistake := range mistakes {
		text.WriteString("\n  " + mistake.Error())
	}
	return errors.New(text.String())
}
