package democa

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// Announcement is what somebody who has started a demonstration is told.
type Announcement struct {
	Version, Program string
	Listen           string  // host:port
	Secure           bool    // HTTPS
	Loopback         bool    // reached from this machine only
	CA               *Bundle // the authority that other devices must trust; nil: none
	Room             string  // that guests may join
	Key, Secret      string
	Meeting          string   // that the accounts are invited to
	Accounts         []string // to sign in as
	Password         string   // of all of them
}

// Announce prints where a demonstration is found and how to join it.
func Announce(out io.Writer, a Announcement) error {
	urls, err := URLs(a.Listen, a.Secure)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "diemcau %s: demonstration, not for real meetings\n\n", a.Version)
	for _, u := range urls {
		fmt.Fprintf(&b, "  Open        %s\n", u)
	}
	fmt.Fprintf(&b, "  Room        %s (any other name makes a room of its own)\n", a.Room)
	fmt.Fprintf(&b, "  Meeting     %s, by the API (/api/v1/openapi.json)\n", a.Meeting)
	fmt.Fprintf(&b, "  Accounts    %s\n", strings.Join(a.Accounts, ", "))
	fmt.Fprintf(&b, "  Password    %s\n", a.Password)
	fmt.Fprintf(&b, "  API key     %s\n", a.Key)
	fmt.Fprintf(&b, "  API secret  %s\n\n", a.Secret)
	switch {
	case a.CA != nil:
		b.WriteString(a.CA.Instructions(urls))
	case a.Loopback:
		_, port, err := net.SplitHostPort(a.Listen)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "  From a phone or another computer: stop, then %s serve --demo --listen 0.0.0.0:%s\n", a.Program, port)
	}
	b.WriteString("\n  Stop        Ctrl-C\n\n")
	_, err = io.WriteString(out, b.String())
	return err
}

// Instructions tells, in Vietnamese and in English, how to make a device trust
// the authority, for people who open the server at urls.
func (b *Bundle) Instructions(urls []string) string {
	var download string
	if len(urls) > 0 {
		download = strings.TrimRight(urls[0], "/") + "/ca.crt"
	}
	return fmt.Sprintf(instructions, download, b.CAFile, b.Fingerprint)
}

const instructions = `Máy khác tham gia: cài một lần chứng chỉ của máy chủ này (nếu không, trình duyệt không cho dùng camera và micro).
  Lấy chứng chỉ: mở %[1]s và chấp nhận cảnh báo, hoặc chép tệp %[2]s sang máy đó.
  Đối chiếu dấu vân tay SHA-256: %[3]s
  Windows:  mở ca.crt > Install Certificate > Local Machine > Trusted Root Certification Authorities. Firefox: Settings > Certificates > Authorities > Import.
  Android:  Cài đặt > Bảo mật > Mã hóa và thông tin xác thực > Cài đặt chứng chỉ > Chứng chỉ CA, chọn ca.crt.
  iOS:      mở ca.crt bằng Safari; Cài đặt > Đã tải về hồ sơ > Cài đặt; rồi Cài đặt > Cài đặt chung > Giới thiệu > Cài đặt tin cậy chứng nhận, bật "diemcau demo CA".
  Khi không dùng nữa, hãy xóa chứng chỉ này khỏi thiết bị.

Other devices: install this server's certificate authority once (browsers give no camera or microphone otherwise).
  Get it: open %[1]s and pass the warning, or copy the file %[2]s there.
  Compare its SHA-256 fingerprint: %[3]s
  Windows:  open ca.crt > Install Certificate > Local Machine > Trusted Root Certification Authorities. Firefox: Settings > Certificates > Authorities > Import.
  Android:  Settings > Security > Encryption & credentials > Install a certificate > CA certificate, choose ca.crt.
  iOS:      open ca.crt in Safari; Settings > Profile Downloaded > Install; then Settings > General > About > Certificate Trust Settings, switch on "diemcau demo CA".
  Remove it from the device when it is no longer needed.
`

// URLs lists the addresses under which a server at listen is reached,
// from other machines unless it listens on loopback.
func URLs(listen string, secure bool) ([]string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return []string{scheme + net.JoinHostPort(host, port)}, nil
	}
	hosts, err := Hosts(listen)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil && !ip.IsLoopback() {
			urls = append(urls, scheme+net.JoinHostPort(h, port))
		}
	}
	if len(urls) == 0 { // a machine without a network
		urls = []string{scheme + net.JoinHostPort("localhost", port)}
	}
	return urls, nil
}
