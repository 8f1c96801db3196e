package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// target is the cluster and the namespace whose keys are managed, chosen as for kubectl.
type target struct {
	kubeconfig, context, namespace string
}

func newAPIKeyCommand() *cobra.Command {
	to := &target{}
	cmd := &cobra.Command{
		Use:   "apikey",
		Short: "Create, list, rotate and revoke keys for the REST API",
		Long: "Create, list, rotate and revoke keys for the REST API.\n\n" +
			"A user who may create APIKeys in a namespace can act as any of its users.",
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&to.kubeconfig, "kubeconfig", "", "kubeconfig file; default: $KUBECONFIG or ~/.kube/config")
	flags.StringVar(&to.context, "context", "", "context of the kubeconfig; default: the current one")
	flags.StringVarP(&to.namespace, "namespace", "n", "", "namespace of the keys; default: that of the context")
	cmd.AddCommand(newAPIKeyCreate(to), newAPIKeyList(to), newAPIKeyRotate(to), newAPIKeyRevoke(to))
	return cmd
}

// connect returns a client and the namespace to use.
func (t *target) connect() (client.Client, string, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, "", fmt.Errorf("registering the API types: %w", err)
	}
	config, err := restConfig(t.kubeconfig, t.context)
	if err != nil {
		return nil, "", err
	}
	config.UserAgent = "spider-operator-apikey/" + version
	kubernetes, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, "", fmt.Errorf("making a Kubernetes client: %w", err)
	}
	if t.namespace != "" {
		return kubernetes, t.namespace, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = t.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: t.context}
	namespace, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("finding the context's namespace: %w", err)
	}
	return kubernetes, namespace, nil
}

func newAPIKeyCreate(to *target) *cobra.Command {
	var request apiKeyRequest
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create a key and print it, once",
		Long: "Create a key and print it. It cannot be shown again: the cluster stores only its hash.\n\n" +
			"Only the key is written to standard output, so that KEY=$(spider-operator apikey create ...) works.",
		Example: "  spider-operator apikey create --namespace demo --user alice --access Run --expires 720h",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kubernetes, namespace, err := to.connect()
			if err != nil {
				return err
			}
			request.namespace = namespace
			if len(args) == 1 {
				request.name = args[0]
			}
			if err := request.checkUser(); err != nil {
				return err
			}
			key, object, err := createAPIKey(cmd.Context(), kubernetes, request, time.Now())
			if err != nil {
				return err
			}
			return request.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), key, object)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&request.user, "user", "", "user that callers with this key act as; default: the namespace")
	flags.StringVar(
		&request.access,
		"access",
		"",
		"what the key permits: Read; Run, also to start, change and cancel jobs; "+
			"All, also to change spiders, whose settings are code; default: All",
	)
	flags.StringVar(&request.expires, "expires", "",
		"when the key expires: a duration such as 720h, or an RFC 3339 time; default: never")
	flags.StringVar(&request.description, "description", "", "what the key is for")
	flags.StringVarP(&request.output, "output", "o", "", "output format: json, with the name of the APIKey; default: the key alone")
	return cmd
}

// apiKeyRequest is what a new key is to be.
type apiKeyRequest struct {
	namespace, name, user, access, expires, description, output string
}

// checkUser refuses a new user that has the name of its namespace: people would take it for the namespace itself, which is what
// callers without a user are shown as, and which it is not.
func (r apiKeyRequest) checkUser() error {
	if r.user != r.namespace {
		return nil
	}
	return fmt.Errorf(
		"reading --user %q: a user cannot have the name of its namespace; leave --user out for a key of the namespace itself",
		r.user,
	)
}

// createAPIKey makes a key and records its hash.
func createAPIKey(
	ctx context.Context, kubernetes client.Client, request apiKeyRequest, now time.Time,
) (auth.Key, *v1alpha1.APIKey, error) {
	if request.output != "" && request.output != "json" {
		return auth.Key{}, nil, fmt.Errorf("reading --output %q: only json is known", request.output)
	}
	expires, err := parseExpiry(request.expires, now)
	if err != nil {
		return auth.Key{}, nil, err
	}
	access := v1alpha1.APIKeyAccess(request.access)
	if access != "" && !access.Opens(v1alpha1.AccessRead) {
		return auth.Key{}, nil, fmt.Errorf("reading --access %q: only Read, Run and All are known", request.access)
	}
	key := auth.NewKey()
	object := &v1alpha1.APIKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: request.namespace, Name: request.name},
		Spec: v1alpha1.APIKeySpec{
			KeyID:       key.ID,
			Hash:        key.Hash(request.namespace),
			UserID:      request.user,
			Access:      access,
			ExpiresAt:   expires,
			Description: request.description,
		},
	}
	if object.Name == "" {
		object.Name = "key-" + key.ID
	}
	if err := kubernetes.Create(ctx, object); err != nil {
		return auth.Key{}, nil, fmt.Errorf("creating APIKey %s/%s: %w", object.Namespace, object.Name, err)
	}
	return key, object, nil
}

// parseExpiry reads a duration from now on, or a moment. Nil is never.
func parseExpiry(text string, now time.Time) (*metav1.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		valid, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("reading --expires %q: neither a duration such as 720h nor an RFC 3339 time", text)
		}
		at = now.Add(valid)
	}
	if !at.After(now) {
		return nil, fmt.Errorf("reading --expires %q: that is not in the future", text)
	}
	return new(metav1.NewTime(at.UTC())), nil
}

// print shows the key on out, and what to know about it on notes.
func (r apiKeyRequest) print(out, notes io.Writer, key auth.Key, object *v1alpha1.APIKey) error {
	if r.output == "" {
		if _, err := fmt.Fprintln(out, key.Reveal()); err != nil {
			return fmt.Errorf("printing the key: %w", err)
		}
	} else {
		answer := map[string]any{"key": key.Reveal(), "namespace": object.Namespace, "name": object.Name, "user_id": object.User(),
			"access": string(object.Access())}
		if object.Spec.ExpiresAt != nil {
			answer["expires_at"] = object.Spec.ExpiresAt
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(answer); err != nil {
			return fmt.Errorf("printing the key: %w", err)
		}
	}
	until := "until it is revoked"
	if object.Spec.ExpiresAt != nil {
		until = "until " + object.Spec.ExpiresAt.UTC().Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(notes, "APIKey %s/%s created for user %s, access %s, valid %s.\n"+
		"The key is shown this once and cannot be shown again: store it now.\n",
		object.Namespace, object.Name, object.User(), object.Access(), until)
	return err
}

func newAPIKeyList(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys of a namespace",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			kubernetes, namespace, err := to.connect()
			if err != nil {
				return err
			}
			var keys v1alpha1.APIKeyList
			if err := kubernetes.List(cmd.Context(), &keys, client.InNamespace(namespace)); err != nil {
				return fmt.Errorf("listing the APIKeys of %s: %w", namespace, err)
			}
			return printAPIKeys(cmd.OutOrStdout(), keys.Items, time.Now())
		},
	}
}

func printAPIKeys(out io.Writer, keys []v1alpha1.APIKey, now time.Time) error {
	slices.SortFunc(keys, func(a, b v1alpha1.APIKey) int { return strings.Compare(a.Name, b.Name) })
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, err := fmt.Fprintln(table, "NAME\tKEY\tUSER\tACCESS\tEXPIRES\tAGE\tDESCRIPTION")
	for _, key := range keys {
		expires := "never"
		if at := key.Spec.ExpiresAt; at != nil {
			expires = at.UTC().Format(time.RFC3339)
			if !at.After(now) {
				expires += " (expired)"
			}
		}
		_, rowErr := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", key.Name, key.Spec.KeyID, key.User(), key.Access(), expires,
			duration.HumanDuration(now.Sub(key.CreationTimestamp.Time)), key.Spec.Description)
		err = errors.Join(err, rowErr)
	}
	if err := errors.Join(err, table.Flush()); err != nil {
		return fmt.Errorf("printing the keys: %w", err)
	}
	return nil
}

func newAPIKeyRotate(to *target) *cobra.Command {
	var request apiKeyRequest
	cmd := &cobra.Command{
		Use:   "rotate NAME [NEW-NAME]",
		Short: "Create another key for the user of a key, and print it, once",
		Long: "Create another key with the same user and access as the named one, and print it. The old key stays valid: replace it\n" +
			"where it is used, then revoke it.",
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kubernetes, namespace, err := to.connect()
			if err != nil {
				return err
			}
			old := &v1alpha1.APIKey{}
			if err := kubernetes.Get(cmd.Context(), client.ObjectKey{Namespace: namespace, Name: args[0]}, old); err != nil {
				return fmt.Errorf("reading APIKey %s/%s: %w", namespace, args[0], err)
			}
			request.namespace, request.user, request.access = namespace, old.Spec.UserID, string(old.Spec.Access)
			if request.description == "" {
				request.description = old.Spec.Description
			}
			if len(args) == 2 {
				request.name = args[1]
			}
			key, object, err := createAPIKey(cmd.Context(), kubernetes, request, time.Now())
			if err != nil {
				return err
			}
			if err := request.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), key, object); err != nil {
				return err
			}
			_, err = fmt.Fprintf(
				cmd.ErrOrStderr(), "When nothing uses the old key any more: spider-operator apikey revoke --namespace %s %s\n", namespace,
				old.Name,
			)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&request.expires, "expires", "",
		"when the new key expires: a duration such as 720h, or an RFC 3339 time; default: never")
	flags.StringVar(&request.description, "description", "", "what the new key is for; default: the description of the old key")
	flags.StringVarP(&request.output, "output", "o", "", "output format: json, with the name of the APIKey; default: the key alone")
	return cmd
}

func newAPIKeyRevoke(to *target) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME...",
		Short: "Delete keys; they are refused within a second",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			kubernetes, namespace, err := to.connect()
			if err != nil {
				return err
			}
			var failures []error
			for _, name := range names {
				key := &v1alpha1.APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
				if err := kubernetes.Delete(cmd.Context(), key); apierrors.IsNotFound(err) {
					failures = append(failures, fmt.Errorf("APIKey %s/%s does not exist", namespace, name))
				} else if err != nil {
					failures = append(failures, fmt.Errorf("deleting APIKey %s/%s: %w", namespace, name, err))
				} else {
					_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "APIKey %s/%s revoked.\n", namespace, name)
				}
			}
			return errors.Join(failures...)
		},
	}
}
