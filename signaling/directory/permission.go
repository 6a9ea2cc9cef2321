package directory

import (
	"slices"
	"strings"
)

// Permission names one thing a user may do in a unit. The list is fixed; what
// a route or a meeting command needs is one of these.
type Permission string

// The directory and the system.
const (
	DirectoryRead     Permission = "directory.read"     // see units, points, users
	DirectoryManage   Permission = "directory.manage"   // add, edit, remove them; import and export
	RoleAssign        Permission = "role.assign"        // give and take roles
	PermissionAdjust  Permission = "permission.adjust"  // change what roles may do in a unit
	CatalogManage     Permission = "catalog.manage"     // meeting kinds, document kinds, rooms, issuing bodies
	DeviceEnrol       Permission = "device.enrol"       // enrol and withdraw room devices
	AuditRead         Permission = "audit.read"         // who did what, from where
	SigninRead        Permission = "signin.read"        // sign-in log
	HelpEdit          Permission = "help.edit"          // help documents
	SystemOperate     Permission = "system.operate"     // configuration, nodes, backup
	IntegrationManage Permission = "integration.manage" // API keys of other systems
	IntegrationRead   Permission = "integration.read"   // read meetings for other systems
)

// Before a meeting.
const (
	MeetingRead      Permission = "meeting.read"      // see the unit's meetings and agendas
	MeetingPrepare   Permission = "meeting.prepare"   // draft, edit, submit
	MeetingApprove   Permission = "meeting.approve"   // approve or return
	MeetingCancel    Permission = "meeting.cancel"    // cancel with a reason
	InvitationManage Permission = "invitation.manage" // invite people and units; the unit assigns its people
	InvitationReply  Permission = "invitation.reply"  // answer one's own invitation
	DelegationMake   Permission = "delegation.make"   // hand one's attendance to another person
	DelegationDecide Permission = "delegation.decide" // accept or refuse a substitute
	GuestInvite      Permission = "guest.invite"      // make guest links
	SeatManage       Permission = "seat.manage"       // seat map
	NotifySend       Permission = "notify.send"       // messages to participants
)

// Documents, opinion ballots and what comes after a meeting.
const (
	DocumentRead    Permission = "document.read"    // documents one is admitted to
	DocumentPrepare Permission = "document.prepare" // draft, upload, submit
	DocumentApprove Permission = "document.approve" // approve or refuse, never one's own
	DocumentReceipt Permission = "document.receipt" // who has read what
	LibraryRead     Permission = "library.read"     // document library
	LibraryManage   Permission = "library.manage"   // its folders and files
	OpinionPrepare  Permission = "opinion.prepare"  // draft opinion ballots
	OpinionApprove  Permission = "opinion.approve"  // approve and send them
	OpinionAnswer   Permission = "opinion.answer"   // answer and sign
	OpinionResult   Permission = "opinion.result"   // who answered, statistics
	ConclusionWrite Permission = "conclusion.write" // conclusions and their tasks
	MinutesEdit     Permission = "minutes.edit"     // edit the minutes
	MinutesSign     Permission = "minutes.sign"     // sign them
	MinutesIssue    Permission = "minutes.issue"    // number and issue them
	StatisticsRead  Permission = "statistics.read"  // by member and by ballot
	RecordingRead   Permission = "recording.read"   // replay
)

// In a running meeting.
const (
	MeetingJoin       Permission = "meeting.join"       // be in as a participant who is seen
	MeetingObserve    Permission = "meeting.observe"    // watch without being seen or heard
	MeetingRun        Permission = "meeting.run"        // start, pause, end; move through the agenda
	AttendanceSelf    Permission = "attendance.self"    // check oneself in
	AttendanceConfirm Permission = "attendance.confirm" // confirm, in bulk, absences
	AttendanceRead    Permission = "attendance.read"    // who is present; export
	GuestAdmit        Permission = "guest.admit"        // let guests in from the lobby
	SpeakRequest      Permission = "speak.request"      // register to speak, withdraw
	SpeakRun          Permission = "speak.run"          // run the queue; call a person or a point
	QuestionRequest   Permission = "question.request"   // register to question
	QuestionRun       Permission = "question.run"       // run the questioning
	VotePrepare       Permission = "vote.prepare"       // draft votes
	VoteRun           Permission = "vote.run"           // open, close, publish
	VoteCast          Permission = "vote.cast"          // vote, where entitled
	VotePaper         Permission = "vote.paper"         // enter paper counts
	ChatWrite         Permission = "chat.write"         // chat
	ChatModerate      Permission = "chat.moderate"      // hide messages, close the chat
	NoteKeep          Permission = "note.keep"          // private notes
	MediaPublish      Permission = "media.publish"      // microphone and camera, when the state allows
	ScreenShare       Permission = "screen.share"       // show a screen
	LayoutControl     Permission = "layout.control"     // the picture everyone sees
	DeviceControl     Permission = "device.control"     // microphone and camera of room devices
	ReadinessRead     Permission = "readiness.read"     // readiness wall
	HelpdeskAnswer    Permission = "helpdesk.answer"    // help points during a call
	RecordingControl  Permission = "recording.control"  // start and stop recordings and streams
)

var permissions = []struct {
	p      Permission
	vi, en string
}{
	{DirectoryRead, "Xem danh bạ", "See the directory"},
	{DirectoryManage, "Quản lý đơn vị, điểm cầu, người dùng", "Manage units, points and users"},
	{RoleAssign, "Phân vai trò", "Assign roles"},
	{PermissionAdjust, "Điều chỉnh quyền của vai trò", "Adjust what roles may do"},
	{CatalogManage, "Quản lý danh mục", "Manage lists"},
	{DeviceEnrol, "Đăng ký thiết bị phòng họp", "Enrol room devices"},
	{AuditRead, "Xem nhật ký thao tác", "Read the audit log"},
	{SigninRead, "Xem nhật ký đăng nhập", "Read the sign-in log"},
	{HelpEdit, "Soạn tài liệu hướng dẫn", "Edit help documents"},
	{SystemOperate, "Vận hành hệ thống", "Operate the system"},
	{IntegrationManage, "Quản lý kết nối phần mềm khác", "Manage integrations"},
	{IntegrationRead, "Đọc dữ liệu phiên họp qua kết nối", "Read meetings by integration"},
	{MeetingRead, "Xem phiên họp", "See meetings"},
	{MeetingPrepare, "Chuẩn bị phiên họp", "Prepare meetings"},
	{MeetingApprove, "Duyệt phiên họp", "Approve meetings"},
	{MeetingCancel, "Hủy phiên họp", "Cancel meetings"},
	{InvitationManage, "Quản lý giấy mời", "Manage invitations"},
	{InvitationReply, "Trả lời giấy mời", "Answer invitations"},
	{DelegationMake, "Ủy quyền dự họp", "Delegate attendance"},
	{DelegationDecide, "Duyệt ủy quyền dự họp", "Decide on substitutes"},
	{GuestInvite, "Tạo liên kết mời khách", "Invite guests by link"},
	{SeatManage, "Sắp xếp sơ đồ chỗ ngồi", "Arrange the seat map"},
	{NotifySend, "Gửi thông báo", "Send messages"},
	{DocumentRead, "Xem tài liệu", "Read documents"},
	{DocumentPrepare, "Chuẩn bị tài liệu", "Prepare documents"},
	{DocumentApprove, "Duyệt tài liệu", "Approve documents"},
	{DocumentReceipt, "Xem tình hình đọc tài liệu", "See who has read documents"},
	{LibraryRead, "Xem kho tài liệu", "Read the library"},
	{LibraryManage, "Quản lý kho tài liệu", "Manage the library"},
	{OpinionPrepare, "Soạn phiếu lấy ý kiến", "Draft opinion ballots"},
	{OpinionApprove, "Duyệt phiếu lấy ý kiến", "Approve opinion ballots"},
	{OpinionAnswer, "Trả lời phiếu lấy ý kiến", "Answer opinion ballots"},
	{OpinionResult, "Xem kết quả lấy ý kiến", "See results of opinion ballots"},
	{ConclusionWrite, "Ghi kết luận", "Write conclusions"},
	{MinutesEdit, "Soạn biên bản", "Edit minutes"},
	{MinutesSign, "Ký biên bản", "Sign minutes"},
	{MinutesIssue, "Phát hành biên bản", "Issue minutes"},
	{StatisticsRead, "Xem thống kê", "See statistics"},
	{RecordingRead, "Xem lại bản ghi", "Watch recordings"},
	{MeetingJoin, "Dự họp", "Take part in meetings"},
	{MeetingObserve, "Dự thính phiên họp", "Observe meetings"},
	{MeetingRun, "Điều hành phiên họp", "Run meetings"},
	{AttendanceSelf, "Tự điểm danh", "Check oneself in"},
	{AttendanceConfirm, "Xác nhận điểm danh", "Confirm attendance"},
	{AttendanceRead, "Xem điểm danh", "See attendance"},
	{GuestAdmit, "Cho khách vào họp", "Admit guests"},
	{SpeakRequest, "Đăng ký phát biểu", "Register to speak"},
	{SpeakRun, "Điều hành phát biểu", "Run speaking"},
	{QuestionRequest, "Đăng ký chất vấn", "Register to question"},
	{QuestionRun, "Điều hành chất vấn", "Run questioning"},
	{VotePrepare, "Chuẩn bị biểu quyết", "Prepare votes"},
	{VoteRun, "Điều hành biểu quyết", "Run votes"},
	{VoteCast, "Biểu quyết", "Vote"},
	{VotePaper, "Nhập kết quả phiếu giấy", "Enter paper counts"},
	{ChatWrite, "Trao đổi tin nhắn", "Write in the chat"},
	{ChatModerate, "Quản lý trao đổi tin nhắn", "Moderate the chat"},
	{NoteKeep, "Ghi chú riêng", "Keep private notes"},
	{MediaPublish, "Bật micrô và máy quay", "Use microphone and camera"},
	{ScreenShare, "Chia sẻ màn hình", "Share a screen"},
	{LayoutControl, "Điều khiển bố cục hình", "Control the layout"},
	{DeviceControl, "Điều khiển thiết bị điểm cầu", "Control room devices"},
	{ReadinessRead, "Theo dõi sẵn sàng của điểm cầu", "Watch the readiness of points"},
	{HelpdeskAnswer, "Hỗ trợ kỹ thuật điểm cầu", "Help points"},
	{RecordingControl, "Điều khiển ghi hình", "Control recording"},
}

var permissionIndex = func() map[Permission]int {
	m := make(map[Permission]int, len(permissions))
	for i, e := range permissions {
		m[e.p] = i
	}
	return m
}()

// Permissions lists every permission in the order of display.
func Permissions() []Permission {
	list := make([]Permission, len(permissions))
	for i, e := range permissions {
		list[i] = e.p
	}
	return list
}

// Valid reports whether p is one of the list.
func (p Permission) Valid() bool {
	_, ok := permissionIndex[p]
	return ok
}

// Label names p for people: in Vietnamese for "vi...", else in English.
func (p Permission) Label(lang string) string {
	i, ok := permissionIndex[p]
	switch {
	case !ok:
		return string(p)
	case strings.HasPrefix(lang, "vi"):
		return permissions[i].vi
	default:
		return permissions[i].en
	}
}

// sortPermissions puts a list in the order of display.
func sortPermissions(list []Permission) {
	slices.SortFunc(list, func(a, b Permission) int { return permissionIndex[a] - permissionIndex[b] })
}
