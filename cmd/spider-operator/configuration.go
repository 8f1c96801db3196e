package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// flagSet is what is needed of a process's flags here.
type flagSet interface{ Visit(fn func(*pflag.Flag)) }

// underFlags has a configuration file read into variables that flags are bound to, and puts back the flags that were given: they
// override the file. Without a file nothing is read.
func underFlags(flags flagSet, file string, read func([]byte) error) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var restore []func() error
	flags.Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given := list.GetSlice()
			restore = append(restore, func() error { return list.Replace(given) })
			return
		}
		given := f.Value.String()
		restore = append(restore, func() error {
			if f.Value.String() == given { // The flag may be none of the configuration, and not read what it shows.
				return nil
			}
			return f.Value.Set(given)
		})
	})
	if err := read(text); err != nil {
		return fmt.Errorf("read the configuration %s:\n%w", file, err)
	}
	for _, again := range restore {
		if err := again(); err != nil {
			return fmt.Errorf("read the flags again: %w", err)
		}
	}
	return nil
}

// refuse returns what is wrong with a configuration, all of it.
func refuse(file string, problems field.ErrorList) error {
	err := problems.ToAggregate()
	switch {
	case err == nil:
		return nil
	case file == "":
		return fmt.Errorf("configuration by flags: %w", err)
	}
	return fmt.Errorf("configuration %s, with the flags: %w", file, err)
}

// successor is the annotation of a deprecated flag that names what to use in its place.
const successor = "successor"

// deprecate hides flags that will be gone in the release after the next.
func deprecate(flags *pflag.FlagSet, successors map[string]string) {
	for name, use := range successors {
		flag := flags.Lookup(name)
		flag.Hidden = true
		flag.Annotations = map[string][]string{successor: {use}}
	}
}

// warnOfDeprecated names the deprecated flags that were given, and what to use in their place.
func warnOfDeprecated(flags flagSet, log *slog.Logger) {
	flags.Visit(func(f *pflag.Flag) {
		if use := f.Annotations[successor]; len(use) > 0 {
			log.Warn("deprecated flag, which the next minor release removes", "flag", "--"+f.Name, "use", use[0])
		}
	})
}
