package auth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	lkauth "github.com/livekit/protocol/auth"
	"github.com/spf13/cobra"
)

// tokenOptions are the flags of the token command.
type tokenOptions struct {
	keys              func(file string, demo bool) (map[string]string, error)
	file, key, secret string
	demo              bool
	identity, name    string
	metadata          string
	ttl               time.Duration
	sources           []string
	grant             lkauth.VideoGrant
	publish           bool
	subscribe         bool
	data              bool
	ownMetadata       bool
}

// Command prints access tokens. keys gives the API keys of a configuration file, which may be
// "", or of the demonstration.
func Command(keys func(file string, demo bool) (map[string]string, error)) *cobra.Command {
	o := tokenOptions{keys: keys}
	cmd := &cobra.Command{
		Use:   "token --room ROOM --identity IDENTITY",
		Short: "Print an access token for a participant",
		Long: "Prints a LiveKit access token. Its API key and secret come from --key and --secret, from DIEMCAU_KEY and\n" +
			"DIEMCAU_SECRET (a secret on the command line is seen by other users of the machine), from --config or from --demo.",
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "config", "", "configuration `FILE` with the keys")
	f.BoolVar(&o.demo, "demo", false, "use the public key of the demonstration")
	f.StringVar(&o.key, "key", "", "API `KEY`; not needed if the configuration has one only")
	f.StringVar(&o.secret, "secret", "", "its `SECRET`; not needed if the configuration has it")
	f.StringVar(&o.grant.Room, "room", "", "name of the `ROOM`")
	f.StringVar(&o.identity, "identity", "", "who the participant is: user:<id>#<device>, guest:<id>, point:<id>, svc:<id> or any other `TEXT`")
	f.StringVar(&o.name, "name", "", "`NAME` that others see")
	f.StringVar(&o.metadata, "metadata", "", "`TEXT` passed to other participants")
	f.DurationVar(&o.ttl, "ttl", 6*time.Hour, "how long the token is valid")
	f.BoolVar(&o.publish, "can-publish", true, "may send audio and video")
	f.StringSliceVar(&o.sources, "can-publish-sources", nil, "may send only these: camera, microphone, screen_share, screen_share_audio")
	f.BoolVar(&o.subscribe, "can-subscribe", true, "may receive audio and video")
	f.BoolVar(&o.data, "can-publish-data", true, "may send data, such as chat")
	f.BoolVar(&o.ownMetadata, "can-update-own-metadata", false, "may change the own name, metadata and attributes")
	f.BoolVar(&o.grant.Hidden, "hidden", false, "is not shown to others")
	f.BoolVar(&o.grant.RoomAdmin, "room-admin", false, "may administer the room")
	for _, name := range []string{"room", "identity"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		token, err := o.sign(f.Changed)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
		return err
	}
	return cmd
}

// sign makes the token. Permissions whose flag is not set are left out of it, so
// that the protocol's defaults apply.
func (o *tokenOptions) sign(changed func(flag string) bool) (string, error) {
	if o.identity == "" || o.grant.Room == "" {
		return "", errors.New("--room and --identity must not be empty")
	}
	if o.ttl <= 0 {
		return "", errors.New("--ttl must be more than zero")
	}
	key, secret, err := o.credentials()
	if err != nil {
		return "", err
	}
	for _, p := range []struct {
		flag  string
		value bool
		field **bool
	}{
		{"can-publish", o.publish, &o.grant.CanPublish},
		{"can-subscribe", o.subscribe, &o.grant.CanSubscribe},
		{"can-publish-data", o.data, &o.grant.CanPublishData},
		{"can-update-own-metadata", o.ownMetadata, &o.grant.CanUpdateOwnMetadata},
	} {
		if changed(p.flag) {
			*p.field = &p.value
		}
	}
	o.grant.RoomJoin = true
	o.grant.CanPublishSources = o.sources
	return lkauth.NewAccessToken(key, secret).
		SetVideoGrant(&o.grant).
		SetIdentity(o.identity).
		SetName(o.name).
		SetMetadata(o.metadata).
		SetValidFor(o.ttl).
		ToJWT()
}

// credentials finds the API key and its secret: flags, environment, configuration.
func (o *tokenOptions) credentials() (key, secret string, err error) {
	key, secret = o.key, o.secret
	if o.file == "" && !o.demo {
		key, secret = cmp.Or(key, os.Getenv("DIEMCAU_KEY")), cmp.Or(secret, os.Getenv("DIEMCAU_SECRET"))
	}
	if secret != "" {
		if key == "" {
			return "", "", errors.New("--key is needed with --secret")
		}
		return key, secret, nil
	}
	all, err := o.keys(o.file, o.demo)
	if err != nil {
		return "", "", err
	}
	names := slices.Sorted(maps.Keys(all))
	if key == "" && len(names) == 1 {
		key = names[0]
	}
	if secret = all[key]; secret == "" {
		return "", "", fmt.Errorf("--key must be one of the configured keys: %s", strings.Join(names, ", "))
	}
	return key, secret, nil
}
