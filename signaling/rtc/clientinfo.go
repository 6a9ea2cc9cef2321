package rtc

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/livekit/protocol/livekit"
)

// maxClientField bounds each text a client says of itself, in bytes. They end up
// in logs and statistics.
const maxClientField = 128

var sdkNames = map[string]livekit.ClientInfo_SDK{
	"js":          livekit.ClientInfo_JS,
	"ios":         livekit.ClientInfo_SWIFT,
	"swift":       livekit.ClientInfo_SWIFT,
	"android":     livekit.ClientInfo_ANDROID,
	"flutter":     livekit.ClientInfo_FLUTTER,
	"go":          livekit.ClientInfo_GO,
	"unity":       livekit.ClientInfo_UNITY,
	"reactnative": livekit.ClientInfo_REACT_NATIVE,
	"rust":        livekit.ClientInfo_RUST,
	"python":      livekit.ClientInfo_PYTHON,
	"cpp":         livekit.ClientInfo_CPP,
	"unityweb":    livekit.ClientInfo_UNITY_WEB,
	"node":        livekit.ClientInfo_NODE,
	"unreal":      livekit.ClientInfo_UNREAL,
	"esp32":       livekit.ClientInfo_ESP32,
}

// clientInfoFromQuery reads what a two-peer-connection client says of itself.
// Nothing in it is trusted, so nothing in it is an error.
func clientInfoFromQuery(q url.Values) *livekit.ClientInfo {
	info := &livekit.ClientInfo{
		Sdk:            sdkNames[q.Get("sdk")],
		Version:        q.Get("version"),
		Protocol:       intParam(q, "protocol"),
		Os:             q.Get("os"),
		OsVersion:      q.Get("os_version"),
		DeviceModel:    q.Get("device_model"),
		Browser:        q.Get("browser"),
		BrowserVersion: q.Get("browser_version"),
		Network:        q.Get("network"),
		OtherSdks:      q.Get("other_sdks"),
		ClientProtocol: intParam(q, "client_protocol"),
	}
	for name := range strings.SplitSeq(q.Get("capabilities"), ",") {
		value, known := livekit.ClientInfo_Capability_value[strings.TrimSpace(name)]
		if known && len(info.Capabilities) < len(livekit.ClientInfo_Capability_name) {
			info.Capabilities = append(info.Capabilities, livekit.ClientInfo_Capability(value))
		}
	}
	return info
}

// settleClientInfo bounds the texts in info and sets the address it came from.
func settleClientInfo(info *livekit.ClientInfo, r *http.Request) {
	for _, field := range []*string{
		&info.Version, &info.Os, &info.OsVersion, &info.DeviceModel,
		&info.Browser, &info.BrowserVersion, &info.Network, &info.OtherSdks,
	} {
		*field = clip(*field, maxClientField)
	}
	info.Address = r.RemoteAddr
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		info.Address = host
	}
}

// clip shortens s to at most limit bytes of valid UTF-8.
func clip(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}

func intParam(q url.Values, key string) int32 {
	n, err := strconv.ParseInt(q.Get(key), 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

func boolParam(q url.Values, key string, unset bool) bool {
	switch q.Get(key) {
	case "":
		return unset
	case "1", "true":
		return true
	default:
		return false
	}
}

func optionalBoolParam(q url.Values, key string) *bool {
	if q.Get(key) == "" {
		return nil
	}
	value := boolParam(q, key, false)
	return &value
}
