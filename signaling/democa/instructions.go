package democa

import (
	"fmt"
	"net"
	"strings"
)

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
