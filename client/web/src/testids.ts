/** Names of the elements that browser tests look for (`data-testid`). */
export const testIds = {
  // Lobby (/)
  lobby: 'lobby',
  lobbyName: 'lobby-name',
  lobbyRoom: 'lobby-room',
  lobbyContinue: 'lobby-continue',
  // Green room (/r/<room> before joining)
  greenRoom: 'green-room',
  previewVideo: 'preview-video',
  previewMic: 'preview-mic',
  previewCamera: 'preview-camera',
  previewLevel: 'preview-level',
  previewProblem: 'preview-problem',
  greenName: 'green-name',
  join: 'join',
  joinError: 'join-error',
  // Stage (/r/<room> after joining)
  stage: 'stage',
  /** Also carries data-state="connecting|connected|reconnecting|disconnected". */
  connectionState: 'connection-state',
  connectionBanner: 'connection-banner',
  soundBlocked: 'sound-blocked',
  /** Also carries data-participant=<identity>, data-name, data-source=camera|screen, data-mic=on|off, data-speaking, data-video=on|off. */
  tile: 'tile',
  tileVideo: 'tile-video',
  mainTile: 'main-tile',
  controlMic: 'control-mic',
  controlCamera: 'control-camera',
  controlShare: 'control-share',
  controlView: 'control-view',
  controlChat: 'control-chat',
  controlPeople: 'control-people',
  controlSettings: 'control-settings',
  controlMore: 'control-more',
  controlLeave: 'control-leave',
  leaveConfirm: 'leave-confirm',
  leaveCancel: 'leave-cancel',
  panel: 'panel',
  panelClose: 'panel-close',
  chatInput: 'chat-input',
  chatSend: 'chat-send',
  /** Also carries data-from=<identity>. */
  chatMessage: 'chat-message',
  chatUnread: 'chat-unread',
  /** Also carries data-participant=<identity>, data-mic=on|off. */
  person: 'person',
  settings: 'settings',
  settingsClose: 'settings-close',
  /** Radio groups: the options carry <id>-<value>, e.g. language-en, theme-dark. */
  language: 'language',
  theme: 'theme',
  announcer: 'announcer',
  // After leaving
  left: 'left',
  rejoin: 'rejoin',
} as const;
